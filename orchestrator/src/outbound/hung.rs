//! A participant of two addresses does no less when one of them hangs than the other does alone.

use std::{
    convert::Infallible,
    net::SocketAddr,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clock::{Clock, Timestamp};
use definition::{Overrides, Target};
use facade::{Trace, dial::Peer};
use futures::future::{BoxFuture, FutureExt, pending};
use http::HeaderMap;
use saga::{Answer, Direction};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codegen::Service,
    server::NamedService,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use super::{Attempt, CallLimits, Participants};
use crate::metrics::AttemptTimes;

const SERVICE: &str = "sagamesh.stock.v1.StockService";
const IN_FLIGHT: NonZero<usize> = NonZero::new(16).unwrap();
/// How many sagas call at once.
const SAGAS: usize = 48;
const WORK: Duration = Duration::from_millis(50);

/// A process that takes some time for each call.
#[derive(Clone, Default)]
struct Worker {
    under_way: Arc<AtomicUsize>,
    /// How many were under way at most.
    most: Arc<AtomicUsize>,
}

impl Worker {
    async fn listen(&self) -> SocketAddr {
        let (listener, address) = listen().await;
        let serving = Server::builder().add_routes(Routes::new(self.clone()));
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }
}

impl NamedService for Worker {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Worker {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let worker = self.clone();
        async move {
            let under_way = worker.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            worker.most.fetch_max(under_way, Ordering::Relaxed);
            Clock::system().sleep(WORK).await;
            worker.under_way.fetch_sub(1, Ordering::Relaxed);
            Ok(Status::already_exists("as the test says").into_http())
        }
        .boxed()
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What leads to a process until it hangs: connections are taken then, and nothing is said on them.
async fn front(process: SocketAddr, hangs: CancellationToken) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let hangs = hangs.clone();
            connections.spawn(async move {
                let mut to = TcpStream::connect(process).await.unwrap();
                let copied = copy_bidirectional(&mut socket, &mut to);
                if hangs.run_until_cancelled(copied).await.is_none() {
                    pending::<()>().await;
                }
            });
        }
    });
    address
}

fn target() -> Target {
    let service = proto::descriptors().get_service_by_name(SERVICE).unwrap();
    let descriptor = service.methods().find(|method| method.name() == "Freeze").unwrap();
    Target {
        service: SERVICE.to_owned(),
        method: "Freeze".to_owned(),
        path: format!("/{SERVICE}/Freeze").parse().unwrap(),
        output: descriptor.output(),
        descriptor,
    }
}

/// Calls the participant again and again, as sagas do.
fn sagas(address: &str) -> JoinSet<()> {
    let participants = Participants::new(Clock::system());
    let limits = CallLimits { in_flight: IN_FLIGHT, rate: None };
    participants.add_peer(SERVICE, &Peer::at(address.parse().unwrap()), limits);
    let mut sagas = JoinSet::new();
    for number in 0..SAGAS {
        let participants = participants.clone();
        sagas.spawn(async move {
            let (target, overrides, trace) = (target(), Overrides::default(), Trace::start());
            let saga_id = format!("01a2205b-70a4-7369-9f14-5010{number:08}");
            loop {
                let attempt = Attempt {
                    saga_id: &saga_id,
                    step: "freeze",
                    direction: Direction::Forward,
                    number: 1,
                    target: &target,
                    request: bytes::Bytes::new(),
                    timeout: Duration::from_mins(1),
                    send_by: None::<Timestamp>,
                    cut_off: None,
                    overrides: &overrides,
                    metadata: HeaderMap::new(),
                    judge: None,
                    is_lookup: false,
                    times: AttemptTimes::default(),
                };
                let made = attempt.make(&participants, &trace, pending()).await;
                assert!(matches!(made.answer, Answer::Declined(_)), "{made:?}");
            }
        });
    }
    sagas
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        Clock::system().sleep(WORK).await;
    }
}

#[tokio::test]
async fn with_one_of_two_addresses_hung_the_other_does_as_many_calls_at_once_as_it_does_alone() {
    let well = Worker::default();
    let calling = sagas(&well.listen().await.to_string());
    until(|| well.most.load(Ordering::Relaxed) == IN_FLIGHT.get()).await;
    drop(calling);

    let (well, other) = (Worker::default(), Worker::default());
    let hangs = CancellationToken::new();
    let front = front(other.listen().await, hangs.clone()).await;
    let calling = sagas(&format!("{},{front}", well.listen().await));
    until(|| other.most.load(Ordering::Relaxed) == IN_FLIGHT.get() / 2).await;
    hangs.cancel();
    let clock = Clock::system();
    let noticed = clock.timeout(
        Duration::from_secs(5),
        until(|| well.under_way.load(Ordering::Relaxed) == IN_FLIGHT.get()),
    );
    noticed.await.expect("calls that will not be answered keep no other from its place");
    drop(calling);
    assert_eq!(well.most.load(Ordering::Relaxed), IN_FLIGHT.get(), "and no more at once");
}
