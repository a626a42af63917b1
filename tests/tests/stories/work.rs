//! A participant with one method and its undo, which does as much at once as a story says.

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
use proto::saga::v1::{Saga, SagaState, StartSagaRequest, WaitSagaRequest};
use tests::{Mesh, Wiring};
use tokio::sync::{Semaphore, watch};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::Service,
    metadata::MetadataMap,
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};

const WORK: &str = r#"
    syntax = "proto3";
    package work.v1;
    service Work { rpc Do(Job) returns (Job); rpc Undo(Job) returns (Job); }
    message Job { string id = 1; }
"#;

/// What the participant does at once.
#[derive(Clone, Copy)]
pub(crate) struct Capacity {
    /// Streams of a connection.
    pub(crate) streams: u32,
    /// Calls that it works on; further ones wait within it.
    pub(crate) workers: usize,
    /// Calls that it has, also those that wait; further ones are refused, RESOURCE_EXHAUSTED.
    pub(crate) calls: usize,
    /// How long a job takes.
    pub(crate) job: Duration,
    /// Jobs that are answered; further ones are held.
    pub(crate) answered: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            streams: 1_000,
            workers: 1_000,
            calls: usize::MAX,
            job: Duration::from_millis(100),
            answered: Semaphore::MAX_PERMITS,
        }
    }
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) job: Bytes,
}

/// A participant that answers with the job itself.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) address: SocketAddr,
    capacity: Capacity,
    /// Calls that were not refused, in the order of their arrival.
    pub(crate) called: watch::Sender<Vec<Called>>,
    workers: Arc<Semaphore>,
    /// One is used up by each call; none are given back.
    pub(crate) leave: Arc<Semaphore>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    under_way: usize,
    /// The most that were under way at once.
    pub(crate) most: usize,
    pub(crate) refused: usize,
}

impl Work {
    pub(crate) async fn serve(capacity: Capacity) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let work = Self {
            address: listener.local_addr().unwrap(),
            capacity,
            called: watch::Sender::default(),
            workers: Arc::new(Semaphore::new(capacity.workers)),
            leave: Arc::new(Semaphore::new(capacity.answered)),
            counts: Arc::default(),
        };
        let mut server = Server::builder().max_concurrent_streams(capacity.streams);
        let serving = server.add_service(work.clone());
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        work
    }

    pub(crate) fn calls_of(&self, method: &str) -> Vec<Called> {
        let called = self.called.borrow();
        called.iter().filter(|called| called.path.ends_with(method)).cloned().collect()
    }

    /// Waits until so many calls have arrived.
    pub(crate) async fn arrived(&self, calls: usize) {
        self.called.subscribe().wait_for(|called| called.len() >= calls).await.unwrap();
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }

    fn take(&self) -> Result<(), Status> {
        let mut counts = self.counts.lock().unwrap();
        if counts.under_way >= self.capacity.calls {
            counts.refused += 1;
            return Err(Status::resource_exhausted("as many calls as it takes"));
        }
        counts.under_way += 1;
        counts.most = counts.most.max(counts.under_way);
        Ok(())
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
        let (work, path) = (self.work.clone(), self.path.clone());
        Box::pin(async move {
            work.take()?;
            let key = text(job.metadata(), "idempotency-key");
            let job = job.into_inner();
            let called = Called { path, key, job: job.clone() };
            work.called.send_modify(|calls| calls.push(called));
            work.leave.acquire().await.unwrap().forget();
            {
                let _worker = work.workers.acquire().await.unwrap();
                Clock::system().sleep(work.capacity.job).await;
            }
            work.counts.lock().unwrap().under_way -= 1;
            Ok(Response::new(job))
        })
    }
}

fn text(metadata: &MetadataMap, name: &str) -> String {
    metadata.get(name).unwrap().to_str().unwrap().to_owned()
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

/// A mesh whose definition `once` calls the participant, which `configured` adds to it.
pub(crate) async fn mesh(once: &str, configured: impl FnOnce(Wiring) -> Wiring) -> Mesh {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("work.proto"), WORK).unwrap();
    std::fs::write(sagas.path().join("once.yaml"), once).unwrap();
    configured(Wiring::default().with_sagas(sagas.path())).start().await
}

/// Starts a saga for the job `id`; gives the saga's id.
pub(crate) async fn start(mesh: &Mesh, id: impl Display) -> String {
    let start = StartSagaRequest {
        definition: "once".to_owned(),
        version: 0,
        key: id.to_string(),
        input_json: format!(r#"{{"id": "{id}"}}"#),
    };
    mesh.sagas().start_saga(start).await.unwrap().into_inner().saga_id
}

/// Starts so many sagas at once, all of which must succeed.
pub(crate) async fn all_succeed(mesh: &Mesh, sagas: usize) {
    let client = mesh.sagas();
    let run = |id: usize| {
        let mut client = client.clone();
        async move {
            let start = StartSagaRequest {
                definition: "once".to_owned(),
                key: id.to_string(),
                input_json: format!(r#"{{"id": "{id}"}}"#),
                ..StartSagaRequest::default()
            };
            let saga_id = client.start_saga(start).await.unwrap().into_inner().saga_id;
            let timeout = prost_types::Duration { seconds: 120, nanos: 0 };
            let wait =
                WaitSagaRequest { saga_id, timeout: Some(timeout), ..WaitSagaRequest::default() };
            client.wait_saga(wait).await.unwrap().into_inner().saga.unwrap()
        }
    };
    let ended = join_all((0..sagas).map(run)).await;
    let others: Vec<&Saga> =
        ended.iter().filter(|saga| saga.state() != SagaState::Succeeded).collect();
    assert!(others.is_empty(), "{} of {sagas} did not succeed: {:?}", others.len(), others[0]);
}

/// The job `id`, one letter, as it is sent.
pub(crate) fn job(id: char) -> Bytes {
    format!("\n\u{1}{id}").into()
}
