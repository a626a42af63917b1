//! Participants that take few calls at once: sagas wait in line for them, and lose nothing by it.

use std::{
    convert::Infallible,
    fmt::Display,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use futures::future::{BoxFuture, join_all};
use proto::saga::v1::{
    CancelSagaRequest, GetSagaRequest, Saga, SagaState, StartSagaRequest,
    saga_service_client::SagaServiceClient,
};
use tests::{Mesh, Wiring};
use tokio::sync::{Semaphore, watch};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::Service,
    server::{Grpc, NamedService, UnaryService},
    transport::{Channel, Server, server::TcpIncoming},
};

const WORK: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Job); rpc Undo(Job) returns (Job); }
    message Job { string id = 1; }
"#;
const ONCE_DEFINITION: &str = "\
saga: once
version: 1
deadline: 60s
descriptors: [work.proto]
steps:
  - step: work
    call: work.v1.Work/Do
    with: { id: request.id }
    timeout: 500ms
    retry: { attempts: 2, base: 10ms, cap: 10ms }
    undo: work.v1.Work/Undo
";

/// How long a job takes.
const JOB: Duration = Duration::from_millis(100);

/// A participant that answers with the job itself.
#[derive(Clone)]
struct Work {
    address: SocketAddr,
    /// Methods that were called, in the order of their arrival, and for which job.
    called: watch::Sender<Vec<(String, Bytes)>>,
    /// One is used up by each call; none are given back.
    leave: Arc<Semaphore>,
    under_way: Arc<Mutex<(usize, usize)>>,
}

impl Work {
    /// Serves with so many streams a connection; `jobs` are answered, others are held.
    async fn serve(streams: u32, jobs: usize) -> Self {
        let called = watch::Sender::default();
        let leave = Arc::new(Semaphore::new(jobs));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let work = Self { address, called, leave, under_way: Arc::default() };
        let mut server = Server::builder().max_concurrent_streams(streams);
        let serving = server.add_service(work.clone());
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        work
    }

    fn calls_of(&self, method: &str) -> Vec<Bytes> {
        let called = self.called.borrow();
        let of = called.iter().filter(|(called, _)| called.ends_with(method));
        of.map(|(_, job)| job.clone()).collect()
    }

    /// Waits until so many calls have arrived.
    async fn arrived(&self, calls: usize) {
        self.called.subscribe().wait_for(|called| called.len() >= calls).await.unwrap();
    }
}

struct Method {
    work: Work,
    path: String,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, job: Request<Bytes>) -> Self::Future {
        let (work, path, job) = (self.work.clone(), self.path.clone(), job.into_inner());
        Box::pin(async move {
            work.called.send_modify(|called| called.push((path, job.clone())));
            {
                let mut under_way = work.under_way.lock().unwrap();
                under_way.0 += 1;
                under_way.1 = under_way.1.max(under_way.0);
            }
            work.leave.acquire().await.unwrap().forget();
            Clock::system().sleep(JOB).await;
            work.under_way.lock().unwrap().0 -= 1;
            Ok(Response::new(job))
        })
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
        let method = Method { work: self.clone(), path: request.uri().path().to_owned() };
        Box::pin(async move { Ok(Grpc::new(facade::codec::Raw).unary(method, request).await) })
    }
}

impl NamedService for Work {
    const NAME: &'static str = "work.v1.Work";
}

async fn mesh(work: &Work, once: &str) -> Mesh {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("work.proto"), WORK).unwrap();
    std::fs::write(sagas.path().join("once.yaml"), once).unwrap();
    let wiring = Wiring::default().with_sagas(sagas.path());
    wiring.with_participant(Work::NAME, work.address).start().await
}

/// Starts a saga for the job `id`; gives the saga's id.
async fn start(mesh: &Mesh, id: impl Display) -> String {
    let start = StartSagaRequest {
        definition: "once".to_owned(),
        version: 0,
        key: id.to_string(),
        input_json: format!(r#"{{"id": "{id}"}}"#),
    };
    mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id
}

/// The job `id`, one letter, as it is sent.
fn job(id: char) -> Bytes {
    format!("\n\u{1}{id}").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_sagas_at_once_succeed_with_a_participant_of_four_streams() {
    let work = Work::serve(4, usize::MAX >> 3).await;
    let mesh = mesh(&work, ONCE_DEFINITION).await;
    let sagas = join_all((0..60).map(|id| start(&mesh, id))).await;
    let ended = join_all(sagas.iter().map(|saga_id| mesh.ended(saga_id))).await;
    let states: Vec<_> = ended.iter().map(|saga| (saga.state(), saga.message.clone())).collect();
    assert_eq!(states, vec![(SagaState::Succeeded, String::new()); 60]);
    assert_eq!(work.calls_of("/Do").len(), 60, "one attempt each");
    assert!(work.calls_of("/Undo").is_empty());
    let most = work.under_way.lock().unwrap().1;
    assert!((5..=16).contains(&most), "{most} at once, with 4 on each of 4 connections at most");
}

/// A mesh whose four connections of one stream are taken by held calls, and a saga whose call is in line.
async fn crowded() -> (Mesh, Work, String) {
    let work = Work::serve(1, 0).await;
    let once = ONCE_DEFINITION.replace("timeout: 500ms", "timeout: 60s");
    let mesh = mesh(&work, &once).await;
    for id in 'a'..='d' {
        start(&mesh, id).await;
    }
    work.arrived(4).await;
    let in_line = start(&mesh, 'z').await;
    (mesh, work, in_line)
}

/// Waits until the call of a saga's only step has left the line without being made.
async fn left_the_line(mut sagas: SagaServiceClient<Channel>, saga_id: &str) -> Saga {
    loop {
        let get = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
        let saga = sagas.get_saga(get).await.unwrap().into_inner().saga.unwrap();
        if saga.steps[0].message.contains("in line for a stream") {
            assert_eq!(saga.steps[0].reason, "NOT_SENT");
            return saga;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_line_is_not_made_any_more_when_its_saga_is_cancelled() {
    let (mesh, work, in_line) = crowded().await;
    let cancel = CancelSagaRequest { saga_id: in_line.clone(), reason: "changed".to_owned() };
    mesh.sagas().cancel_saga(cancel).await.unwrap();
    left_the_line(mesh.sagas(), &in_line).await;
    work.leave.add_permits(100);
    assert_eq!(mesh.ended(&in_line).await.state(), SagaState::Compensated);
    assert!(!work.calls_of("/Do").contains(&job('z')), "the call was made");
    assert!(work.calls_of("/Undo").is_empty(), "what was never sent is not undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_line_when_the_node_stops_is_made_by_the_next_node() {
    let (mesh, work, in_line) = crowded().await;
    let sagas = mesh.sagas();
    let stopped = tokio::spawn(mesh.stop());
    left_the_line(sagas, &in_line).await;
    work.leave.add_permits(100);
    let folder = stopped.await.unwrap();
    assert!(!work.calls_of("/Do").contains(&job('z')), "a node that stops makes no new call");

    let mesh =
        Wiring::default().on(folder).with_participant(Work::NAME, work.address).start().await;
    assert_eq!(mesh.ended(&in_line).await.state(), SagaState::Succeeded);
    assert!(work.calls_of("/Undo").is_empty());
}
