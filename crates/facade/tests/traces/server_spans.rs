//! The span that is told of each call that is answered.

use bytes::Bytes;
use collector::{Kind, Span};
use futures::FutureExt;
use tonic::{Code, Request};

use crate::till::{BUY, Till, code, collector, parent, span_of};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/sagamesh.saga.v1.SagaService/WatchSaga";

#[tokio::test]
async fn a_call_is_a_span_below_its_callers_with_the_ids_that_go_out_from_it() {
    collector();
    let (till, parent) = (Till::open(), parent());
    let mut request = Request::new(Bytes::new());
    for (name, value) in [
        ("traceparent", parent.sampled.as_str()),
        ("saga-id", "0199b2f0-0000-7000-8000-000000000001"),
        ("saga-step", "pay"),
        ("saga-direction", "forward"),
    ] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    till.ask(BUY, request).await.unwrap();
    let span = span_of(&parent.trace_id).await;
    assert_eq!(span.parent, Some(parent.span_id));
    // What the handler's own calls say that they are made by.
    let sent = till.seen().trace().to_string();
    assert_eq!(sent, format!("00-{}-{}-01", span.trace_id, span.id));
    assert_eq!((span.name.as_str(), span.kind), ("cards.v1.Cards/Buy", Kind::Server));
    for (name, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", "cards.v1.Cards/Buy"),
        ("rpc.response.status_code", "OK"),
        ("saga.id", "0199b2f0-0000-7000-8000-000000000001"),
        ("saga.step", "pay"),
        ("saga.direction", "forward"),
    ] {
        assert_eq!(span.attribute(name), value, "{name}");
    }
    assert_eq!((span.error, span.attributes.contains_key("error.type")), (None, false));
    assert!(span.end >= span.start);
    assert_eq!(span.resource["service.name"], "sagamesh-till");
    assert!(!span.resource["service.version"].is_empty());
    assert!(!span.resource["service.instance.id"].is_empty());
}

#[tokio::test]
async fn a_call_ends_its_span_with_its_status_and_only_the_servers_failures_are_errors() {
    collector();
    let till = Till::open();
    for (outcome, status, reason, error) in [
        ("", "OK", "", ""),
        ("decline", "FAILED_PRECONDITION", "INSUFFICIENT_STOCK", ""),
        ("unknown", "NOT_FOUND", "STEP_UNKNOWN", ""),
        ("unavailable", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"),
        ("internal", "INTERNAL", "INTERNAL", "INTERNAL"),
        ("panic", "INTERNAL", "INTERNAL", "INTERNAL"),
    ] {
        let parent = parent();
        let _ = till.buy(outcome, &parent.sampled).await;
        let span = span_of(&parent.trace_id).await;
        let told = ["rpc.response.status_code", "saga.reason", "error.type"]
            .map(|name| span.attribute(name));
        // A receipt has no result, so its decline is told by a status; the call itself was carried out.
        let status = if outcome == "decline" { "OK" } else { status };
        assert_eq!(told, [status, reason, error], "{outcome}");
        // No message is told: it may repeat what the caller wrote.
        assert_eq!(span.error, (!error.is_empty()).then(String::new), "{outcome}");
    }
}

#[tokio::test]
async fn a_method_that_nobody_serves_has_no_name_and_one_beside_the_facade_has_its_own() {
    collector();
    let till = Till::open();
    let unknown = parent();
    let answer = till.send("/no.such.Service/Method", Bytes::new(), &unknown.sampled).await;
    assert_eq!(code(answer), Code::Unimplemented);
    let span = span_of(&unknown.trace_id).await;
    assert_eq!((span.name.as_str(), span.attribute("rpc.method")), ("_OTHER", "_OTHER"));
    assert_eq!(span.attribute("error.type"), "UNIMPLEMENTED");
    let health = parent();
    till.send(HEALTH, Bytes::new(), &health.sampled).await.unwrap();
    let span = span_of(&health.trace_id).await;
    let name = HEALTH.trim_start_matches('/');
    assert_eq!((span.name.as_str(), span.attribute("rpc.method")), (name, name));
    assert_eq!(span.attribute("rpc.response.status_code"), "OK");
}

#[tokio::test]
async fn the_span_of_a_call_whose_caller_went_away_ends_then_whoever_still_knows_of_the_call() {
    collector();
    let (till, parent) = (Till::open(), parent());
    let mut call = Box::pin(till.buy("wait", &parent.sampled));
    assert!(call.as_mut().now_or_never().is_none());
    drop(call);
    let _still_known = till.seen();
    let span = span_of(&parent.trace_id).await;
    assert_eq!(span.attribute("rpc.response.status_code"), "CANCELLED");
    assert_eq!(span.error, None);
}

#[tokio::test]
async fn the_span_of_a_stream_ends_when_the_stream_is_open() {
    collector();
    let (till, parent) = (Till::open(), parent());
    // saga_id "s"
    let mut request = Request::new(Bytes::from_static(b"\x0a\x01s"));
    request.metadata_mut().insert("traceparent", parent.sampled.parse().unwrap());
    let mut client = tonic::client::Grpc::new(till.routes.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(WATCH);
    let _open = client.server_streaming(request, path, facade::codec::Raw).await.unwrap();
    let span = span_of(&parent.trace_id).await;
    assert_eq!(span.name, WATCH.trim_start_matches('/'));
    assert_eq!(span.attribute("rpc.response.status_code"), "OK");
}

#[tokio::test]
async fn a_call_that_is_not_sampled_is_told_to_nobody() {
    collector();
    let (till, unsampled, sampled) = (Till::open(), parent(), parent());
    till.buy("", &unsampled.unsampled).await.unwrap();
    assert!(!till.seen().trace().is_exported());
    // The ratio of this process is 0.
    let untraced = till.ask(BUY, Request::new(Bytes::new())).await;
    assert_eq!(code(untraced), Code::Ok);
    let own = till.seen().trace().clone();
    assert!(own.to_string().ends_with("-00") && !own.is_exported(), "{own}");
    till.buy("", &sampled.sampled).await.unwrap();
    span_of(&sampled.trace_id).await;
    let told = |spans: &[Span], id: &str| spans.iter().any(|span| span.trace_id == id);
    let spans = collector().spans();
    assert!(!told(&spans, &unsampled.trace_id) && !told(&spans, &own.id()));
}

#[tokio::test]
async fn a_traceparent_that_is_garbage_or_very_long_begins_a_new_trace() {
    collector();
    let (till, parent) = (Till::open(), parent());
    for garbage in ["00-nonsense", &format!("{}-{}", parent.sampled, "x".repeat(10_000))] {
        till.buy("", garbage).await.unwrap();
        let trace = till.seen().trace().clone();
        assert_ne!(trace.id(), parent.trace_id);
        assert_eq!(trace.parent_id(), None);
    }
}
