//! A collector for tests: it takes spans by OTLP over gRPC, keeps them, and can be slow, hang, refuse, be away and come
//! back.
//!
//! It lives on a thread of its own, so that it serves whatever the test's own loop is doing, and processes too.

mod span;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use clock::Clock;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{
    runtime,
    sync::{oneshot, watch},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, transport::Server};

pub use self::span::{Attributes, Event, Kind, Link, Span};

/// How long a test waits for spans that must come.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// What any batch of a test fits into.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// What the collector does with a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes it at once.
    #[default]
    Take,
    /// It takes it after so long.
    Delay(Duration),
    /// It never answers.
    Hang,
    /// It refuses it.
    Refuse(Code),
}

/// A collector that runs until it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    store: Arc<Store>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Store {
    spans: watch::Sender<Vec<Span>>,
    /// How many batches have come, whatever became of them.
    batches: watch::Sender<usize>,
    behaviour: watch::Sender<Behaviour>,
}

impl Collector {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one where another has been.
    ///
    /// # Panics
    /// Where it cannot listen there.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the collector's address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let store = Arc::new(Store {
            spans: watch::Sender::new(Vec::new()),
            batches: watch::Sender::new(0),
            behaviour: watch::Sender::new(Behaviour::Take),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&store);
        let thread = thread::spawn(move || serve(listener, serving, stopped));
        Self { address, store, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens, as `telemetry.otlp` takes it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it does this with each batch, also with those that are there.
    pub fn behave(&self, behaviour: Behaviour) {
        self.store.behaviour.send_replace(behaviour);
    }

    /// Ends it, with its connections.
    pub fn stop(self) {}

    /// What it has taken.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.store.spans.borrow().clone()
    }

    /// How many batches have come, taken or not.
    #[must_use]
    pub fn batches(&self) -> usize {
        *self.store.batches.borrow()
    }

    /// Waits until what it has taken is something to `found`, and gives that.
    ///
    /// # Panics
    /// Where that does not come in half a minute, with what has come.
    pub async fn wait_for<T>(&self, mut found: impl FnMut(&[Span]) -> Option<T>) -> T {
        let mut result = None;
        let mut spans = self.store.spans.subscribe();
        let waiting = spans.wait_for(|spans| {
            result = found(spans);
            result.is_some()
        });
        let in_time = Clock::system().timeout(WAIT_TIMEOUT, waiting).await.is_ok();
        match result {
            Some(result) if in_time => result,
            _ => panic!("the spans that are waited for have not come: {:#?}", self.spans()),
        }
    }

    /// Waits until so many batches have come, taken or not.
    ///
    /// # Panics
    /// Where they do not come in half a minute.
    pub async fn wait_for_batches(&self, count: usize) {
        let mut batches = self.store.batches.subscribe();
        let waiting = batches.wait_for(|batches| *batches >= count);
        let came = Clock::system().timeout(WAIT_TIMEOUT, waiting).await.is_ok();
        assert!(came, "{} of {count} batches have come", self.batches());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: TcpListener, store: Arc<Store>, stopped: oneshot::Receiver<()>) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a listener can be made not to wait");
        let listener = tokio::net::TcpListener::from_std(listener).expect("it is a listener");
        let service =
            TraceServiceServer::new(Taking(store)).max_decoding_message_size(MAX_BATCH_BYTES);
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::select! {
            served = serving => served.expect("the collector serves"),
            _ = stopped => {}
        }
    });
}

struct Taking(Arc<Store>);

#[tonic::async_trait]
impl TraceService for Taking {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut behaviours = self.0.behaviour.subscribe();
        let mut behaviour = *behaviours.borrow_and_update();
        // What is decided when this is seen is what becomes of the batch, but where it waits.
        self.0.batches.send_modify(|batches| *batches += 1);
        loop {
            match behaviour {
                Behaviour::Take => break,
                Behaviour::Delay(delay) => {
                    let changed = behaviours.changed();
                    if Clock::system().timeout(delay, changed).await.is_err() {
                        break;
                    }
                }
                Behaviour::Hang => {
                    let _ = behaviours.changed().await;
                }
                Behaviour::Refuse(code) => return Err(Status::new(code, "the test says so")),
            }
            behaviour = *behaviours.borrow_and_update();
        }
        let spans = span::read(request.into_inner());
        self.0.spans.send_modify(|taken| taken.extend(spans));
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}
