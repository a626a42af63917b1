//! One order is one picture: from the caller's call to the services that its steps are carried out by.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use clock::Clock;
use collector::{Kind, Span};
use facade::{
    Call, Facade, Failure, Reply, config::Connections, dynamic::Handler, listener, log::Calls,
    process::Process, readiness::Readiness, server::Server,
};
use futures::future::BoxFuture;
use prost_reflect::{DescriptorPool, DynamicMessage};
use proto::saga::v1::{SagaState, StartSagaRequest};
use stage::collector;
use tests::{Mesh, Wiring, shop::order};
use tokio::sync::mpsc;
use tonic::Request;

/// A caller whose trace is sampled.
struct Caller {
    trace_id: String,
    span_id: String,
}

impl Caller {
    fn new() -> Self {
        collector();
        let trace_id = format!("{:032x}", rand::random::<u128>());
        Self { trace_id, span_id: format!("{:016x}", rand::random::<u64>()) }
    }

    fn sends<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let traceparent = format!("00-{}-{}-01", self.trace_id, self.span_id);
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        request
    }

    /// Waits until the trace has a summary, and every span the one that it is below; gives them in the order of their
    /// beginnings.
    async fn whole_trace(&self) -> Vec<Span> {
        let is_whole = |spans: &[Span]| {
            let of_it = spans.iter().filter(|span| span.trace_id == self.trace_id);
            let of_it: Vec<_> = of_it.cloned().collect();
            let ids: HashSet<_> = of_it.iter().map(|span| span.id.as_str()).collect();
            let has_parent = |span: &Span| {
                let parent = span.parent.as_deref();
                parent.is_some_and(|parent| ids.contains(parent) || parent == self.span_id)
            };
            let is_served = |span: &Span| {
                let is_sent = span.kind == Kind::Client;
                !is_sent || of_it.iter().any(|child| child.parent.as_ref() == Some(&span.id))
            };
            let has_ended = of_it.iter().any(|span| span.name == "saga.summary");
            (has_ended && of_it.iter().all(|span| has_parent(span) && is_served(span)))
                .then_some(of_it)
        };
        let mut spans = collector().wait_for(is_whole).await;
        let ids: HashSet<_> = spans.iter().map(|span| &span.id).collect();
        assert_eq!(ids.len(), spans.len(), "a span is told twice: {spans:#?}");
        spans.sort_by_key(|span| span.start);
        spans
    }
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// Each attempt with the one server span below it, by step and direction.
fn attempts(spans: &[Span]) -> HashMap<(&str, &str), (&Span, &Span)> {
    let attempts = spans.iter().filter(|span| span.kind == Kind::Client);
    let served = attempts.map(|attempt| {
        let below = spans.iter().filter(|span| span.parent.as_ref() == Some(&attempt.id));
        let [server] = below.collect::<Vec<_>>()[..] else { panic!("{attempt:#?} in {spans:#?}") };
        assert_eq!((server.kind, &server.name), (Kind::Server, &attempt.name));
        let key = (attempt.attribute("saga.step"), attempt.attribute("saga.direction"));
        (key, (attempt, server))
    });
    served.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_one_trace_and_each_step_is_carried_out_below_its_attempt() {
    let caller = Caller::new();
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let mut request = order("t-1", "ada", "tea", 3);
    request.points = 50;
    let placed = mesh.checkout().place_order(caller.sends(request)).await.unwrap().into_inner();
    let spans = caller.whole_trace().await;
    let [place_order] = named(&spans, "sagamesh.checkout.v1.CheckoutService/PlaceOrder")[..] else {
        panic!("{spans:#?}")
    };
    assert_eq!(place_order.parent.as_ref(), Some(&caller.span_id));
    let [start] = named(&spans, "saga.start")[..] else { panic!("{spans:#?}") };
    assert_eq!(start.parent.as_ref(), Some(&place_order.id));
    let [slice] = named(&spans, "saga.run place-order")[..] else { panic!("{spans:#?}") };
    assert_eq!(slice.parent.as_ref(), Some(&start.id));
    let attempts = attempts(&spans);
    let saga = mesh.ended(&placed.saga_id).await;
    assert_eq!(attempts.len(), saga.steps.len());
    for step in &saga.steps {
        let (attempt, server) = attempts[&(step.step.as_str(), "forward")];
        assert_eq!(attempt.parent.as_ref(), Some(&slice.id));
        assert_eq!((&attempt.error, attempt.attribute("saga.id")), (&None, &*placed.saga_id));
        assert_eq!(server.attribute("saga.step"), step.step);
        // Nothing of the order is told; its words have letters that no id has.
        let told = format!("{attempt:?} {server:?}");
        assert!(!["\"ada\"", "tea", "t-1"].iter().any(|word| told.contains(word)), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_declined_is_undone_below_the_same_slice_and_no_error() {
    let caller = Caller::new();
    let mesh = Mesh::start().await;
    mesh.add_goods("tea", 450, 100).await;
    mesh.add_member("ada", 0, 100).await;
    let request = caller.sends(order("t-1", "ada", "tea", 3));
    let declined = mesh.checkout().place_order(request).await.unwrap().into_inner();
    assert_eq!(declined.result.unwrap().code, "INSUFFICIENT_FUNDS");
    let spans = caller.whole_trace().await;
    let attempts = attempts(&spans);
    let (charge, _) = attempts[&("charge_payment", "forward")];
    assert_eq!(charge.attribute("rpc.response.status_code"), "OK");
    assert_eq!(charge.attribute("saga.answer"), "declined");
    assert_eq!(charge.attribute("saga.reason"), "INSUFFICIENT_FUNDS");
    assert_eq!(charge.error, None);
    let undos = attempts.iter().filter(|((_, direction), _)| *direction == "undo");
    let undos: Vec<_> = undos.collect();
    assert!(!undos.is_empty());
    for ((step, _), (undo, _)) in undos {
        let [compensates] = &undo.links[..] else { panic!("{undo:#?}") };
        assert_eq!(compensates.attributes["saga.link"], "compensates");
        assert_eq!(compensates.span_id, attempts[&(*step, "forward")].0.id);
    }
    let [summary] = named(&spans, "saga.summary")[..] else { panic!("{spans:#?}") };
    assert_eq!(summary.attribute("saga.outcome"), "compensated");
    assert_eq!(summary.attribute("saga.reason"), "INSUFFICIENT_FUNDS");
}

const ECHO: &str = r#"
    syntax = "proto3";
    package slow.v1;
    service Slow { rpc Say(Text) returns (Text); }
    message Text { string id = 1; }
"#;
const ASK: &str = "\
saga: ask
version: 1
descriptors: [slow.proto]
steps:
  - step: say
    call: slow.v1.Slow/Say
    timeout: 60s
";

/// Never answers the first call, and every later one.
struct Slow {
    calls: AtomicUsize,
    arrived: mpsc::UnboundedSender<()>,
}

impl Handler for Slow {
    fn handle(
        &self,
        _: Call,
        request: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let is_first = self.calls.fetch_add(1, Ordering::SeqCst) == 0;
        self.arrived.send(()).unwrap();
        Box::pin(async move {
            match is_first {
                true => std::future::pending().await,
                false => Ok(request.into()),
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_that_dies_in_a_call_completes_the_picture_with_the_call_that_it_lost() {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("slow.proto"), ECHO).unwrap();
    std::fs::write(sagas.path().join("ask.yaml"), ASK).unwrap();
    let mut compiler = protox::Compiler::new([sagas.path()]).unwrap();
    compiler.open_file("slow.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let service = pool.get_service_by_name("slow.v1.Slow").unwrap();
    let say = service.methods().find(|method| method.name() == "Say").unwrap();
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut participant = Server::new(Facade::new(Clock::system(), Calls::Notable));
    participant.serve(&say, Arc::new(Slow { calls: AtomicUsize::new(0), arrived }));
    let listener = listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve("slow", &Readiness::default(), participant.build(), listener).await;
    let serving = tokio::spawn(process.run(std::future::pending()));

    let wiring = || {
        let wiring = Wiring::default().with_sagas(sagas.path());
        wiring.with_participant("slow.v1.Slow", address)
    };
    let caller = Caller::new();
    let mesh = wiring().start().await;
    let start = StartSagaRequest {
        definition: "ask".to_owned(),
        key: "k".to_owned(),
        ..StartSagaRequest::default()
    };
    let started = mesh.sagas().start_saga(caller.sends(start)).await.unwrap().into_inner();
    arrivals.recv().await.unwrap();
    let mesh = wiring().on(mesh.abort().await).start().await;
    assert_eq!(mesh.ended(&started.saga_id).await.state(), SagaState::Succeeded);
    let spans = caller.whole_trace().await;
    let [before, after] = named(&spans, "saga.run ask")[..] else { panic!("{spans:#?}") };
    assert_eq!(before.attribute("error.type"), "worker_lost");
    let said = spans.iter().filter(|span| span.kind == Kind::Client);
    let [lost, done] = said.collect::<Vec<_>>()[..] else { panic!("{spans:#?}") };
    assert_eq!((lost.parent.as_ref(), done.parent.as_ref()), (Some(&before.id), Some(&after.id)));
    assert_eq!(lost.attribute("error.type"), "worker_lost");
    assert_eq!((done.attribute("saga.answer"), &done.error), ("done", &None));
    for attempt in [lost, done] {
        let below = spans.iter().filter(|span| span.parent.as_ref() == Some(&attempt.id));
        let [server] = below.collect::<Vec<_>>()[..] else { panic!("{attempt:#?} in {spans:#?}") };
        assert_eq!((server.kind, server.name.as_str()), (Kind::Server, "slow.v1.Slow/Say"));
    }
    assert_eq!(done.attribute("server.address"), "127.0.0.1");
    assert_eq!(done.attribute("server.port"), address.port().to_string());
    serving.abort();
}
