//! Traces: where a call stands in its own, and the spans that are told of it to a collector.
//!
//! A [`Trace`] is a position, with an id that is there whether or not anybody is told: it goes out with every call, into
//! every log line, and into the journal. Where the trace is exported a span is told under exactly that position's ids: one that
//! begins now ([`Live`]), or one that is over and whose times are known ([`Past`]). Nothing is built for any other.

mod export;
mod ids;
mod position;
mod queue;
mod span;

pub use opentelemetry::{
    KeyValue,
    trace::{Link, SpanId, SpanKind, TraceId},
};

pub(crate) use self::export::{Export, Pending, TARGET};
pub(crate) use self::span::{is_open, rename, tell};
pub use self::{
    export::{Flush, dropped_spans, exported_spans},
    position::Trace,
    queue::DroppedSpans,
    span::{Live, Past, end, set_error},
};
