//! A node with a folder of definitions, which it looks at often, and the participant `work.v1.Work`, which describes itself
//! by reflection once it is started.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clock::Clock;
use definition::Descriptors;
use facade::{
    Call, Facade, Failure, Reply,
    config::{Connections, Database},
    dynamic::Handler,
    log::Calls,
    process::Process,
    readiness::Readiness,
    server::Server,
};
use futures::future::BoxFuture;
use orchestrator::{
    Config, Node,
    config::{Definitions, Participant},
    journal,
    node::open_journal,
};
use prost_reflect::DynamicMessage;
use proto::saga::v1::{
    Definition, DefinitionState, GetSagaRequest, ListDefinitionsRequest, SagaState,
    StartSagaRequest, saga_service_client::SagaServiceClient,
};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
    task::JoinHandle,
};
use tonic::{Status, service::Routes};

pub(crate) const WORK: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Job); rpc Undo(Job) returns (Job); }
    service Front { rpc Order(Job) returns (Job); }
    message Job { string id = 1; }
"#;

const POLL_INTERVAL: Duration = Duration::from_millis(100);
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The definition `name`, of one step that reads.
pub(crate) fn definition(name: &str, version: u32) -> String {
    format!(
        "saga: {name}\nversion: {version}\nsteps:\n  - step: work\n    call: work.v1.Work/Do\n    with: {{ id: request.id }}\n"
    )
}

/// One that serves `work.v1.Front/Order`, with the descriptors beside it.
pub(crate) fn serving(name: &str, version: u32) -> String {
    format!(
        "serves: work.v1.Front/Order\nkey: request.id\nreply: {{ id: work.id }}\ndescriptors: [work.proto]\n{}",
        definition(name, version)
    )
}

/// What a node is started with, and what it leaves to the next.
pub(crate) struct Wiring {
    pub(crate) folder: TempDir,
    pub(crate) config: Definitions,
    work: TcpSocket,
}

impl Wiring {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sagas = folder.path().join("sagas");
        std::fs::create_dir(&sagas).unwrap();
        std::fs::write(sagas.join("work.proto"), WORK).unwrap();
        let config = Definitions {
            folder: Some(sagas),
            poll_interval: POLL_INTERVAL,
            ..Definitions::default()
        };
        // Bound, so that nobody else gets the port; refused, as nobody listens yet.
        let work = TcpSocket::new_v4().unwrap();
        work.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { folder, config, work }
    }

    /// Writes a file of the folder at once, as a mount does.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write(&self.sagas(), name, text.as_ref());
    }

    pub(crate) fn sagas(&self) -> PathBuf {
        self.config.folder.clone().unwrap()
    }

    pub(crate) async fn start(self) -> TestNode {
        let clock = Clock::system();
        let data = self.folder.path().join("data");
        let journal: journal::Shared = Arc::new(open_journal(&data, &clock).await.unwrap());
        let address = self.work.local_addr().unwrap().to_string();
        let participants = [("work.v1.Work".to_owned(), Participant::at(address.parse().unwrap()))];
        let config = Config {
            database: Database { folder: data },
            definitions: self.config.clone(),
            participants: participants.into(),
            ..Config::default()
        };
        let facade = Facade::new(clock.clone(), Calls::Notable);
        let shared = Arc::clone(&journal);
        let node = Node::with_journal(config, &[], Vec::new(), &facade, shared).await.unwrap();
        let (routes, listener) =
            (node.service().in_process(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(node.run(listener, async {
            let _ = stopped.await;
        }));
        let Self { folder, config, work } = self;
        TestNode { folder, config, clock, journal, routes, work: Some(work), stop, serving }
    }
}

fn write(folder: &Path, name: &str, text: &[u8]) {
    let being_written = folder.join("new");
    std::fs::write(&being_written, text).unwrap();
    std::fs::rename(being_written, folder.join(name)).unwrap();
}

pub(crate) struct TestNode {
    folder: TempDir,
    config: Definitions,
    clock: Clock,
    pub(crate) journal: journal::Shared,
    pub(crate) routes: Routes,
    work: Option<TcpSocket>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), String>>,
}

impl TestNode {
    pub(crate) fn sagas(&self) -> SagaServiceClient<Routes> {
        SagaServiceClient::new(self.routes.clone())
    }

    /// Where everything of it is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        write(self.config.folder.as_deref().unwrap(), name, text.as_ref());
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.config.folder.as_ref().unwrap().join(name)).unwrap();
    }

    /// From now on the participant answers.
    pub(crate) async fn start_work(&mut self) {
        let listener = self.work.take().unwrap().listen(64).unwrap();
        let descriptors = described(self.folder.path());
        let mut server = Server::new(Facade::new(self.clock.clone(), Calls::Notable));
        for method in ["Do", "Undo"] {
            let method = descriptors.method("work.v1.Work", method).unwrap();
            server.show("work.v1.Work", method.parent_pool());
            server.serve(&method, Arc::new(Echo));
        }
        let mut process = Process::new(self.clock.clone(), Connections::default());
        process.stage();
        process.serve("work", &Readiness::default(), server.build(), listener).await;
        tokio::spawn(process.run(std::future::pending()));
    }

    pub(crate) async fn listed(&self) -> Vec<Definition> {
        let request = ListDefinitionsRequest::default();
        self.sagas().list_definitions(request).await.unwrap().into_inner().definitions
    }

    /// The definition that is listed for this file, once it stands so.
    pub(crate) async fn stands(&self, file: &str, state: DefinitionState) -> Definition {
        self.wait(async || {
            let listed = self.listed().await;
            listed.into_iter().find(|one| one.file.ends_with(file) && one.state() == state)
        })
        .await
    }

    /// Asks again and again until there is something.
    pub(crate) async fn wait<T>(&self, ask: impl AsyncFn() -> Option<T>) -> T {
        let asking = async {
            loop {
                if let Some(found) = ask().await {
                    return found;
                }
                self.clock.sleep(Duration::from_millis(20)).await;
            }
        };
        let found = self.clock.timeout(WAIT_TIMEOUT, asking).await;
        match found {
            Ok(found) => found,
            Err(_) => panic!("in vain: {:#?}", self.listed().await),
        }
    }

    pub(crate) async fn start(
        &self,
        definition: &str,
        version: u32,
        key: &str,
    ) -> Result<(String, bool), Status> {
        let request = StartSagaRequest {
            definition: definition.to_owned(),
            version,
            key: key.to_owned(),
            input_json: r#"{"id": "7"}"#.to_owned(),
        };
        let started = self.sagas().start_saga(request).await?.into_inner();
        Ok((started.saga_id, started.already_started))
    }

    pub(crate) async fn succeeds(&self, saga_id: &str) {
        self.wait(async || {
            let request =
                GetSagaRequest { saga_id: saga_id.to_owned(), ..GetSagaRequest::default() };
            let saga = self.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap();
            (saga.state() == SagaState::Succeeded).then_some(())
        })
        .await;
    }

    /// Stops the node; what is left is for the next.
    pub(crate) async fn stop(self) -> Wiring {
        let Self { folder, config, work, stop, serving, journal, routes, .. } = self;
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        drop((journal, routes));
        Wiring { folder, config, work: work.unwrap_or_else(|| TcpSocket::new_v4().unwrap()) }
    }
}

/// The contract of the participant, and of what is served.
pub(crate) fn described(folder: &Path) -> Descriptors {
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&folder.join("sagas/work.proto"), &[]).unwrap();
    descriptors
}

/// Answers with the request.
struct Echo;

impl Handler for Echo {
    fn handle(
        &self,
        _: Call,
        request: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        Box::pin(async move { Ok(request.into()) })
    }
}
