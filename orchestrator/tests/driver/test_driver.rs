//! A node, its clock, and its one participant.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clock::{Clock, ManualTime, Timestamp};
use facade::{Facade, dial::Address, log::Calls};
use futures::future::BoxFuture;
use orchestrator::{
    Config, Node,
    config::{self, Definitions, Limits, Participant},
    driver::Driver,
    journal, node,
    outbound::{CallLimits, Participants},
    registry::Registry,
};
use proto::saga::v1::{
    GetSagaRequest, Saga, SagaState, StartSagaRequest, saga_service_client::SagaServiceClient,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::Service,
    metadata::MetadataMap,
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

const WORK: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Job); rpc Undo(Job) returns (Job); }
    service Front { rpc Order(Job) returns (Job); }
    message Job {
      string id = 1;
      string secret = 2 [debug_redact = true];
      int64 amount = 3;
      repeated Job parts = 4;
      map<string, Job> by_name = 5;
      optional string note = 6;
    }
"#;

/// Two steps, of which the first can be undone and the second is the last.
pub(crate) const FREEZE_AND_CHARGE: [&str; 2] = [
    "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    undo: work.v1.Work/Undo
",
    "
  - step: charge
    call: work.v1.Work/Do
    timeout: 60s
",
];

/// When the tests begin.
pub(crate) const START_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// A node whose definition is `work`.
pub(crate) struct TestDriver {
    pub(crate) clock: Clock,
    pub(crate) time: ManualTime,
    pub(crate) node: Node,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrived>,
    work: Work,
    pub(crate) journal: journal::Shared,
    _folder: TempDir,
}

/// A call that the participant has, and has not answered.
pub(crate) struct Arrived {
    /// `freeze forward` or `freeze undo`.
    pub(crate) call: String,
    /// How long its caller waits.
    pub(crate) limit: Duration,
    pub(crate) at: Timestamp,
    answer: oneshot::Sender<Result<Bytes, Status>>,
}

impl Arrived {
    pub(crate) fn done(self) {
        self.say(Ok(Bytes::new()));
    }

    pub(crate) fn say(self, answer: Result<Bytes, Status>) {
        // The caller may wait no longer.
        let _ = self.answer.send(answer);
    }

    pub(crate) fn unavailable(self) {
        self.say(Err(Status::unavailable("as the test says")));
    }
}

/// A definition of these steps, each with the head that it needs.
pub(crate) fn definition(head: &str, steps: &[&str]) -> String {
    let steps = steps.concat();
    format!("saga: work\nversion: 1\ndescriptors: [work.proto]\n{head}\nsteps:\n{steps}")
}

impl TestDriver {
    pub(crate) async fn open(definition: &str) -> Self {
        Self::within(Limits::default(), &[definition]).await
    }

    /// With these limits, and these definitions.
    pub(crate) async fn within(limits: Limits, definitions: &[&str]) -> Self {
        Self::new(limits, definitions, None).await
    }

    /// With a participant outside of the process, which may be called so much.
    pub(crate) async fn calling(limits: CallLimits, definitions: &[&str]) -> Self {
        Self::new(Limits::default(), definitions, Some(limits)).await
    }

    async fn new(limits: Limits, definitions: &[&str], outside: Option<CallLimits>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sagas = folder.path().join("sagas");
        std::fs::create_dir(&sagas).unwrap();
        std::fs::write(sagas.join("work.proto"), WORK).unwrap();
        for (number, definition) in definitions.iter().enumerate() {
            std::fs::write(sagas.join(format!("{number}.yaml")), definition).unwrap();
        }
        let (clock, time) = Clock::manual(START_TIME);
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let work = Work { arrived, clock: clock.clone() };
        let data = folder.path().join("data");
        let (mut participants, mut in_process) = (config::Participants::new(), Vec::new());
        match outside {
            Some(CallLimits { in_flight, rate }) => {
                let at = Participant::at(serve(work.clone()).await);
                let participant = Participant { in_flight, rate, ..at };
                participants.insert(Work::NAME.to_owned(), participant);
            }
            None => in_process.push((Work::NAME.to_owned(), Routes::new(work.clone()))),
        }
        let config = Config {
            participants,
            definitions: Definitions { bundles: Vec::new(), folder: Some(sagas) },
            limits,
            ..Config::default()
        };
        let facade = Facade::new(clock.clone(), Calls::Notable);
        let journal: journal::Shared = Arc::new(node::open_journal(&data, &clock).await.unwrap());
        let shared = Arc::clone(&journal);
        let node = Node::with_journal(config, &[], in_process, &facade, shared).await.unwrap();
        Self { clock, time, node, arrivals, work, journal, _folder: folder }
    }

    pub(crate) fn driver(&self) -> &Driver {
        self.node.driver()
    }

    /// Another driver on the same journal, as the next process would have.
    pub(crate) async fn next_driver(&self) -> Driver {
        let journal = Arc::clone(&self.journal);
        let registry = Registry::load(journal.as_ref()).await.unwrap();
        let participants = Participants::new(self.clock.clone());
        participants.add_in_process(Work::NAME, Routes::new(self.work.clone()));
        Driver::new(
            self.clock.clone(),
            journal,
            participants,
            Arc::new(registry),
            &Limits::default(),
        )
    }

    pub(crate) fn sagas(&self) -> SagaServiceClient<Routes> {
        SagaServiceClient::new(self.node.service().in_process())
    }

    pub(crate) async fn start(&self, key: &str) -> String {
        self.try_start("work", key).await.unwrap()
    }

    pub(crate) async fn try_start(&self, definition: &str, key: &str) -> Result<String, Status> {
        let request = StartSagaRequest {
            definition: definition.to_owned(),
            key: key.to_owned(),
            ..StartSagaRequest::default()
        };
        Ok(self.sagas().start_saga(request).await?.into_inner().saga_id)
    }

    /// Waits until no task runs the saga.
    pub(crate) async fn asleep(&self, saga_id: &str) {
        while self.driver().find(saga_id).is_some() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn get(&self, saga_id: &str) -> Saga {
        let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
        self.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
    }

    /// Waits, while the clock stands still, until the saga is in this state.
    pub(crate) async fn stands(&self, saga_id: &str, state: SagaState) -> Saga {
        loop {
            let saga = self.get(saga_id).await;
            if saga.state() == state {
                return saga;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many records of the saga are on disk.
    pub(crate) async fn recorded(&self, saga_id: &str, records: u64) {
        let handle = self.driver().find(saga_id).unwrap();
        handle.records().wait_for(|count| *count >= records).await.unwrap();
    }

    /// The next call that comes to the participant, in however little time that goes by for that.
    pub(crate) async fn next(&mut self) -> Arrived {
        self.arrivals.recv().await.unwrap()
    }

    /// The next call, which must be this one.
    pub(crate) async fn called(&mut self, call: &str) -> Arrived {
        let arrived = self.next().await;
        assert_eq!(arrived.call, call);
        arrived
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, ms: u64) {
        self.time.advance(Duration::from_millis(ms));
    }

    /// How long the tests have taken.
    pub(crate) fn took(&self) -> Duration {
        self.clock.now().since(START_TIME)
    }
}

/// Serves it over the network.
async fn serve(work: Work) -> Address {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = Server::builder().add_service(work);
    tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
    address.parse().unwrap()
}

/// The participant.
#[derive(Clone)]
struct Work {
    arrived: mpsc::UnboundedSender<Arrived>,
    clock: Clock,
}

impl UnaryService<Bytes> for Work {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let metadata = request.metadata();
        let call = format!("{} {}", text(metadata, "saga-step"), text(metadata, "saga-direction"));
        let (limit, at) = (limit(text(metadata, "grpc-timeout")), self.clock.now());
        let (answer, answered) = oneshot::channel();
        let _ = self.arrived.send(Arrived { call, limit, at, answer });
        Box::pin(async move {
            match answered.await {
                Ok(answer) => answer.map(Response::new),
                // The test has dropped the call, so it is never answered.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

fn text<'m>(metadata: &'m MetadataMap, name: &str) -> &'m str {
    metadata.get(name).unwrap().to_str().unwrap()
}

fn limit(text: &str) -> Duration {
    let (digits, unit) = text.split_at(text.len() - 1);
    let count = digits.parse().unwrap();
    match unit {
        "u" => Duration::from_micros(count),
        "m" => Duration::from_millis(count),
        "S" => Duration::from_secs(count),
        other => panic!("{other}"),
    }
}

impl Service<http::Request<Body>> for Work {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let work = self.clone();
        Box::pin(async move { Ok(Grpc::new(facade::codec::Raw).unary(work, request).await) })
    }
}

impl NamedService for Work {
    const NAME: &'static str = "work.v1.Work";
}
