//! A collector that hangs, refuses, is away and comes back costs spans, which are counted, and nothing else.
//!
//! There is one test, since a process exports its spans to one place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "this test needs a part of it")]
#[path = "../traces/till.rs"]
mod till;

use std::time::{Duration, UNIX_EPOCH};

use clock::Clock;
use collector::{Behaviour, Collector};
use facade::{
    Trace,
    trace::{Past, SpanKind, dropped_spans, exported_spans},
};
use tonic::Code;

use crate::till::{Till, export_to};

/// A batch has so long; nobody who is answered sooner has waited for one.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the queue holds, and what is sent together.
const QUEUE: u64 = 4_096;
const BATCH: u64 = 512;

fn export(name: &'static str) -> Trace {
    let (trace, kind) = (Trace::start(), SpanKind::Internal);
    let (start, end) = (UNIX_EPOCH, UNIX_EPOCH);
    let (attributes, links) = (Vec::new(), Vec::new());
    let past = Past {
        trace: trace.clone(),
        name: name.into(),
        kind,
        start,
        end,
        attributes,
        links,
        error: None,
    };
    past.export();
    trace
}

async fn arrives(collector: &Collector, trace: &Trace) {
    let id = trace.id();
    let arrived = |spans: &[collector::Span]| spans.iter().any(|span| span.trace_id == id);
    collector.wait_for(|spans| arrived(spans).then_some(())).await;
}

#[tokio::test]
async fn a_collector_that_does_not_take_spans_costs_spans_alone() {
    let (till, clock) = (Till::open(), Clock::system());
    let collector = Collector::start();
    // A ratio of 1: each trace that begins here is exported.
    let flush = export_to(&collector, 1.0);
    arrives(&collector, &export("it takes")).await;

    collector.behave(Behaviour::Hang);
    let batches = collector.batches();
    export("it hangs");
    collector.wait_for_batches(batches + 1).await;
    let timer = clock.timer();
    for _ in 0..QUEUE + 2 * BATCH {
        export("in a queue that is full");
    }
    assert!(timer.elapsed() < EXPORT_TIMEOUT, "{:?}", timer.elapsed());
    let full = dropped_spans().queue_full;
    // One batch may have been given up meanwhile, and the next taken out of the queue.
    assert!((BATCH..=2 * BATCH).contains(&full), "{full}");
    let timer = clock.timer();
    for _ in 0..200 {
        till.ask(till::BUY, tonic::Request::new(bytes::Bytes::new())).await.unwrap();
    }
    assert!(timer.elapsed() < EXPORT_TIMEOUT, "{:?}", timer.elapsed());
    assert!(dropped_spans().queue_full > full, "a call's span finds no room either");

    // It answers again: what waits is taken, and what comes then.
    collector.behave(Behaviour::Take);
    let queued = usize::try_from(QUEUE).unwrap();
    collector.wait_for(|spans| (spans.len() >= queued).then_some(())).await;
    arrives(&collector, &export("it takes again")).await;
    assert!(exported_spans() >= QUEUE);

    // It says no for good: that is counted, and not tried for ever.
    let lost = dropped_spans().not_exported;
    collector.behave(Behaviour::Refuse(Code::InvalidArgument));
    let batches = collector.batches();
    export("it refuses");
    collector.wait_for_batches(batches + 1).await;
    collector.behave(Behaviour::Take);
    arrives(&collector, &export("it takes what comes later")).await;
    assert_eq!(dropped_spans().not_exported, lost + 1);

    // It is away, and comes back.
    let address = collector.address();
    collector.stop();
    export("it is away");
    let collector = Collector::start_at(address);
    arrives(&collector, &export("it is back")).await;

    // The last ones are sent at the end.
    let last = export("the last");
    drop(flush);
    assert!(collector.spans().iter().any(|span| span.trace_id == last.id()));
}
