//! The ids of a span that is being built: those of its position. The SDK asks a generator for them and tells it nothing, so
//! they are handed over on the thread.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    static GIVEN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Builds one span under these ids.
pub(super) fn with<T>(trace_id: TraceId, span_id: SpanId, build: impl FnOnce() -> T) -> T {
    GIVEN.set(Some((trace_id, span_id)));
    let built = build();
    GIVEN.set(None);
    built
}

/// Gives the ids that were handed over, and random ones for a span of somebody else.
#[derive(Debug)]
pub(super) struct GivenIds;

impl IdGenerator for GivenIds {
    fn new_trace_id(&self) -> TraceId {
        let given = GIVEN.get().map(|(trace_id, _)| trace_id);
        given.unwrap_or_else(|| RandomIdGenerator::default().new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        let given = GIVEN.get().map(|(_, span_id)| span_id);
        given.unwrap_or_else(|| RandomIdGenerator::default().new_span_id())
    }
}
