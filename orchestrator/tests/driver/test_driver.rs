//! A node, its clock, and its one participant.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clock::{Clock, ManualTime, Timestamp};
use facade::{Facade, log::Calls};
use futures::future::BoxFuture;
use orchestrator::{
    Config, Node,
    config::{Definitions, Limits, Participant},
    driver::Driver,
    journal, node,
    outbound::{CallLimits, Participants},
    registry::Registry,
};
use prost::Message;
use proto::saga::v1::{
    GetSagaRequest, Saga, SagaState, StartSagaRequest, saga_service_client::SagaServiceClient,
};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};
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
    service Work { rpc Do(Job) returns (Job); rpc Undo(Job) returns (Job); rpc Find(Job) returns (Job); }
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
    /// What the node measures, and what the drivers after it do.
    pub(crate) measured: metrics::Registry,
    pub(crate) next_measured: metrics::Registry,
    _folder: TempDir,
}

/// A call that the participant has, and has not answered.
pub(crate) struct Arrived {
    /// `freeze forward` or `freeze undo`; `lookup` where the caller names no step.
    pub(crate) call: String,
    /// How long its caller waits.
    pub(crate) limit: Duration,
    pub(crate) at: Timestamp,
    pub(crate) metadata: MetadataMap,
    /// What its caller calls the participant; empty within the process.
    pub(crate) authority: String,
    /// The `id` that it was sent.
    pub(crate) id: String,
    answer: oneshot::Sender<Result<Bytes, Status>>,
}

impl Arrived {
    pub(crate) fn done(self) {
        self.say(Ok(Bytes::new()));
    }

    /// Answers with a job of this id, of less than 128 bytes.
    pub(crate) fn job(self, id: &str) {
        let head = [0x0a, u8::try_from(id.len()).unwrap()];
        self.say(Ok([head.as_slice(), id.as_bytes()].concat().into()));
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
        Self::wired(limits, definitions, None).await
    }

    /// With a participant outside of the process, which may be called so much.
    pub(crate) async fn calling(limits: CallLimits, definitions: &[&str]) -> Self {
        let CallLimits { in_flight, rate } = limits;
        let participant = |address: SocketAddr| {
            let at = Participant::at(address.to_string().parse().unwrap());
            Participant { in_flight, rate, ..at }
        };
        Self::wired(Limits::default(), definitions, Some(&participant)).await
    }

    /// With the participant behind a port, configured so.
    pub(crate) async fn over_the_network(
        definition: &str,
        participant: &dyn Fn(SocketAddr) -> Participant,
    ) -> Self {
        Self::wired(Limits::default(), &[definition], Some(participant)).await
    }

    async fn wired(
        limits: Limits,
        definitions: &[&str],
        participant: Option<&dyn Fn(SocketAddr) -> Participant>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sagas = folder.path().join("sagas");
        std::fs::create_dir(&sagas).unwrap();
        std::fs::write(sagas.join("work.proto"), WORK).unwrap();
        for (number, definition) in definitions.iter().enumerate() {
            std::fs::write(sagas.join(format!("{number}.yaml")), definition).unwrap();
        }
        let (clock, time) = Clock::manual(START_TIME);
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let work = Work { arrived, clock: clock.clone(), authority: String::new() };
        let data = folder.path().join("data");
        let config = Config {
            definitions: Definitions { folder: Some(sagas), ..Definitions::default() },
            limits,
            ..Config::default()
        };
        let (mut in_process, mut config) = (Vec::new(), config);
        let routes = Routes::new(work.clone());
        match participant {
            None => in_process.push((Work::NAME.to_owned(), routes)),
            Some(participant) => {
                let participant = participant(serve(routes).await);
                config.participants.insert(Work::NAME.to_owned(), participant);
            }
        }
        let (measured, next_measured) = (metrics::Registry::new(), metrics::Registry::new());
        let facade = Facade::new(clock.clone(), Calls::Notable).measured_by(measured.clone());
        let journal: journal::Shared = Arc::new(node::open_journal(&data, &clock).await.unwrap());
        let shared = Arc::clone(&journal);
        let node = Node::with_journal(config, &[], in_process, &facade, shared).await.unwrap();
        Self {
            clock,
            time,
            node,
            arrivals,
            work,
            journal,
            measured,
            next_measured,
            _folder: folder,
        }
    }

    pub(crate) fn driver(&self) -> &Driver {
        self.node.driver()
    }

    /// Another driver on the same journal, as the next process would have.
    pub(crate) async fn next_driver(&self) -> Driver {
        self.next_driver_by(self.clock.clone()).await
    }

    /// As [`Self::next_driver`], where the clock of the machine has been set.
    pub(crate) async fn next_driver_by(&self, clock: Clock) -> Driver {
        let journal = Arc::clone(&self.journal);
        let registry = Registry::load(journal.as_ref()).await.unwrap();
        let participants = Participants::new(clock.clone());
        participants.add_in_process(Work::NAME, Routes::new(self.work.clone()));
        let (registry, limits) = (Arc::new(registry), Limits::default());
        Driver::new(clock, journal, participants, registry, &limits, &self.next_measured)
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

/// The participant.
#[derive(Clone)]
struct Work {
    arrived: mpsc::UnboundedSender<Arrived>,
    clock: Clock,
    /// What the caller of this call calls it.
    authority: String,
}

impl UnaryService<Bytes> for Work {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let metadata = request.metadata();
        let call = match metadata.contains_key("saga-step") {
            true => format!("{} {}", text(metadata, "saga-step"), text(metadata, "saga-direction")),
            false => "lookup".to_owned(),
        };
        let (limit, at) = (limit(text(metadata, "grpc-timeout")), self.clock.now());
        let (answer, answered) = oneshot::channel();
        let authority = std::mem::take(&mut self.authority);
        let (metadata, request) = (metadata.clone(), request.into_inner());
        // As a message, a text is its field 1, and all other fields are passed over.
        let id = <String as Message>::decode(request).unwrap();
        let _ = self.arrived.send(Arrived { call, limit, at, metadata, authority, id, answer });
        Box::pin(async move {
            match answered.await {
                Ok(answer) => answer.map(Response::new),
                // The test has dropped the call, so it is never answered.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// Serves it over the network.
async fn serve(routes: Routes) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::builder();
    let serving = server.add_routes(routes).serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    address
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
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let work = Self { authority, ..self.clone() };
        Box::pin(async move { Ok(Grpc::new(facade::codec::Raw).unary(work, request).await) })
    }
}

impl NamedService for Work {
    const NAME: &'static str = "work.v1.Work";
}
