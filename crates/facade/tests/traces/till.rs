//! A server with a dynamic method and a stream, whose process exports what its callers have sampled.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use collector::{Collector, Span};
use facade::{
    Call, Decline, Facade, Failure, Reply, ResponseStream,
    config::{Loaded, Log, Telemetry, telemetry::SampleRatio},
    dynamic::Handler,
    log::{Calls, Flush},
    process::{Instrumentation, start_log},
    server::{Mount, Server},
};
use futures::{StreamExt, future::BoxFuture};
use http::uri::PathAndQuery;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};
use proto::{
    facade::v1::Reason,
    saga::v1::{WatchSagaRequest, WatchSagaResponse},
};
use tonic::{Code, Request, Status, client::Grpc, service::Routes};

pub(crate) const BUY: &str = "/cards.v1.Cards/Buy";
const CARDS: &str = r#"
    syntax = "proto3";
    package cards.v1;
    service Cards { rpc Buy(Purchase) returns (Receipt); }
    message Purchase { string outcome = 1; string number = 2 [debug_redact = true]; }
    message Receipt { string number = 2 [debug_redact = true]; }
"#;

pub(crate) fn buy() -> MethodDescriptor {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cards.proto"), CARDS).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("cards.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    pool.get_service_by_name("cards.v1.Cards").unwrap().methods().next().unwrap()
}

/// The process' one collector.
pub(crate) fn collector() -> &'static Collector {
    static STARTED: LazyLock<(Collector, Mutex<Flush>)> = LazyLock::new(|| {
        let collector = Collector::start();
        let flush = export_to(&collector, 0.0);
        (collector, Mutex::new(flush))
    });
    &STARTED.0
}

/// Starts to export the spans of this process.
pub(crate) fn export_to(collector: &Collector, ratio: f64) -> Flush {
    let telemetry = Telemetry {
        otlp: Some(collector.address().to_string().parse().unwrap()),
        sample: SampleRatio::try_from(ratio).unwrap(),
        ..Telemetry::default()
    };
    let loaded = Loaded { config: (), settings: Vec::new(), warnings: Vec::new() };
    let instrumentation = Instrumentation {
        service: "sagamesh-till",
        log: &Log::default(),
        telemetry: &telemetry,
        stop_timeout: Duration::from_secs(8),
    };
    start_log(&loaded, instrumentation).unwrap()
}

pub(crate) struct Till {
    pub(crate) routes: Routes,
    seen: Arc<Mutex<Option<Call>>>,
}

impl Till {
    pub(crate) fn open() -> Self {
        let seen = Arc::default();
        let buy = buy();
        let watching = Mount::of("sagamesh.saga.v1.SagaService", proto::descriptors(), ()).stream(
            "WatchSaga",
            |_, _: Call, _: WatchSagaRequest| async {
                let never: ResponseStream<WatchSagaResponse> = futures::stream::pending().boxed();
                Ok(never)
            },
        );
        let mut server =
            Server::new(Facade::new(Clock::system(), Calls::Notable)).with(watching.mounted());
        let answers = Answers { output: buy.output(), seen: Arc::clone(&seen) };
        server.serve(&buy, Arc::new(answers));
        let (service, _) = server.build();
        Self { routes: service.in_process(), seen }
    }

    /// The last call that came to the handler.
    pub(crate) fn seen(&self) -> Call {
        self.seen.lock().unwrap().clone().expect("the handler was called")
    }

    /// Buys with this outcome, under this `traceparent`.
    pub(crate) async fn buy(&self, outcome: &str, traceparent: &str) -> Result<Bytes, Status> {
        let mut purchase = DynamicMessage::new(buy().input());
        purchase.set_field_by_name("outcome", Value::String(outcome.to_owned()));
        self.send(BUY, proto::canonical::encode(purchase), traceparent).await
    }

    pub(crate) async fn send(
        &self,
        path: &'static str,
        body: impl Into<Bytes>,
        traceparent: &str,
    ) -> Result<Bytes, Status> {
        let mut request = Request::new(body.into());
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        self.ask(path, request).await
    }

    pub(crate) async fn ask(
        &self,
        path: &'static str,
        request: Request<Bytes>,
    ) -> Result<Bytes, Status> {
        let mut client = Grpc::new(self.routes.clone());
        client.ready().await.unwrap();
        let answer = client.unary(request, PathAndQuery::from_static(path), facade::codec::Raw);
        Ok(answer.await?.into_inner())
    }
}

struct Answers {
    output: MessageDescriptor,
    seen: Arc<Mutex<Option<Call>>>,
}

impl Handler for Answers {
    fn handle(
        &self,
        call: Call,
        purchase: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let text = |name| purchase.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        let (outcome, number) = (text("outcome"), text("number"));
        *self.seen.lock().unwrap() = Some(call);
        let mut receipt = DynamicMessage::new(self.output.clone());
        receipt.set_field_by_name("number", Value::String(number));
        Box::pin(async move {
            match outcome.as_str() {
                "wait" => std::future::pending().await,
                "decline" => {
                    let sold_out = Decline::new(Reason::InsufficientStock, "sold out");
                    Ok(Reply::from(receipt).declined(sold_out))
                }
                "unknown" => Err(Failure::new(Reason::StepUnknown, "there is none")),
                "unavailable" => Err(Failure::unavailable("the database is away")),
                "internal" => Err(Failure::internal("it broke")),
                "panic" => panic!("the test says so"),
                _ => Ok(receipt.into()),
            }
        })
    }
}

/// A traceparent that is sampled, and the ids in it.
pub(crate) struct Parent {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) sampled: String,
    pub(crate) unsampled: String,
}

pub(crate) fn parent() -> Parent {
    let trace = facade::Trace::start();
    let (trace_id, span_id) = (trace.id(), trace.span_id().to_string());
    let sampled = format!("00-{trace_id}-{span_id}-01");
    let unsampled = format!("00-{trace_id}-{span_id}-00");
    Parent { trace_id, span_id, sampled, unsampled }
}

/// The first span of the trace that comes.
pub(crate) async fn span_of(trace_id: &str) -> Span {
    let find = |spans: &[Span]| spans.iter().find(|span| span.trace_id == trace_id).cloned();
    collector().wait_for(find).await
}

pub(crate) fn code(answer: Result<Bytes, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}
