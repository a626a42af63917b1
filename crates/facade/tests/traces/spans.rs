//! Spans beside those of calls: live ones, and ones whose times are known.

use std::time::{Duration, UNIX_EPOCH};

use collector::{Kind, Span};
use facade::{
    Trace,
    trace::{self, KeyValue, Live, Past, SpanId, SpanKind, TraceId},
};

use crate::till::{collector, parent, span_of};

/// A position below what a caller has sampled.
fn sampled() -> Trace {
    let parent = parent();
    Trace::resume(&format!("{}-01-{}", parent.trace_id, parent.span_id))
}

fn live(trace: &Trace) -> Live {
    let (trace, kind) = (trace.clone(), SpanKind::Client);
    let attributes = vec![KeyValue::new("saga.step", "pay")];
    Live { trace, name: "pay".into(), kind, attributes, links: Vec::new() }
}

#[tokio::test]
async fn a_live_span_has_its_positions_ids_its_links_and_what_is_logged_in_it() {
    collector();
    let first = sampled();
    let attempt = first.below(SpanId::from(0x00ab));
    let before = first.child();
    let span = Live { links: vec![before.link("retry_of")], ..live(&attempt) }.open();
    span.in_scope(|| {
        tracing::info!(number = 7, "it went out");
        tracing::debug!(payload = "secret", "what it was");
    });
    trace::set_error(&span, "UNAVAILABLE");
    trace::end(&span);
    let told = span_of(&first.id()).await;
    assert_eq!(told.id, "00000000000000ab");
    assert_eq!(told.parent, Some(first.span_id().to_string()));
    assert_eq!((told.name.as_str(), told.kind), ("pay", Kind::Client));
    assert_eq!((told.attribute("saga.step"), told.attribute("error.type")), ("pay", "UNAVAILABLE"));
    assert_eq!(told.error, Some(String::new()));
    let [link] = &told.links[..] else { panic!("{told:?}") };
    assert_eq!((&link.trace_id, &link.span_id), (&first.id(), &before.span_id().to_string()));
    assert_eq!(link.attributes["saga.link"], "retry_of");
    let [event] = &told.events[..] else { panic!("{told:?}") };
    assert_eq!(event.attributes["number"], "7");
}

#[tokio::test]
async fn a_past_span_has_the_times_that_are_known_of_it() {
    collector();
    let first = sampled();
    let (trace_id, span_id) = (TraceId::from(rand_of(&first)), SpanId::from(0x00cd));
    let slice = first.linked(trace_id, span_id);
    let (start, end) = (UNIX_EPOCH + Duration::from_secs(5), UNIX_EPOCH + Duration::from_secs(9));
    let past = Past {
        trace: slice.clone(),
        name: "saga.run".into(),
        kind: SpanKind::Internal,
        start,
        end,
        attributes: Vec::new(),
        links: vec![first.link("resumed_from")],
        error: Some("worker_lost"),
    };
    past.export();
    let told = span_of(&slice.id()).await;
    assert_eq!((told.id.as_str(), told.parent), ("00000000000000cd", None));
    assert_eq!((told.start, told.end), (5_000_000_000, 9_000_000_000));
    assert_eq!(told.attributes["error.type"], "worker_lost");
    assert_eq!(told.links[0].trace_id, first.id());
    assert!(slice.is_exported(), "the decision is kept");
}

/// Another trace's id.
fn rand_of(trace: &Trace) -> u128 {
    u128::from_be_bytes(trace.trace_id().to_bytes()) ^ 1
}

#[tokio::test]
async fn nothing_is_built_for_what_is_not_exported() {
    collector();
    let parent = parent();
    let unsampled = Trace::resume(&format!("{}-00-{}", parent.trace_id, parent.span_id));
    let span = live(&unsampled).open();
    assert!(span.is_none(), "{span:?}");
    // What would be said of it goes nowhere, and harms nobody.
    trace::set_error(&span, "UNAVAILABLE");
    trace::end(&span);
    let last = sampled();
    drop(live(&last).open());
    span_of(&last.id()).await;
    let spans: Vec<Span> = collector().spans();
    assert!(spans.iter().all(|span| span.trace_id != unsampled.id()));
}
