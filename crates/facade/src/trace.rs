//! W3C trace context, in and out.

use std::fmt;

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator},
};
use tonic::metadata::{MetadataMap, MetadataValue};

const TRACEPARENT: &str = "traceparent";

/// Where a call stands in its trace.
#[derive(Clone, Debug)]
pub struct Trace(SpanContext);

impl Trace {
    /// A new trace.
    #[must_use]
    pub fn start() -> Self {
        Self::span_of(RandomIdGenerator::default().new_trace_id(), TraceFlags::SAMPLED)
    }

    /// The trace that `metadata` carries on, or a new one where it carries none that is valid.
    pub(crate) fn from_metadata(metadata: &MetadataMap) -> Self {
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(metadata));
        let parent = context.span().span_context().clone();
        if parent.is_valid() {
            Self::span_of(parent.trace_id(), parent.trace_flags())
        } else {
            Self::start()
        }
    }

    /// A new span of the trace with this id, for work that goes on after its first call; a new trace where the id is
    /// not valid.
    #[must_use]
    pub fn resume(trace_id: &str) -> Self {
        match TraceId::from_hex(trace_id) {
            Ok(trace_id) if trace_id != TraceId::INVALID => {
                Self::span_of(trace_id, TraceFlags::SAMPLED)
            }
            _ => Self::start(),
        }
    }

    fn span_of(trace_id: TraceId, flags: TraceFlags) -> Self {
        let span_id: SpanId = RandomIdGenerator::default().new_span_id();
        Self(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE))
    }

    /// The trace id: 32 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Passes the trace on with an outgoing call.
    pub(crate) fn inject(&self, metadata: &mut MetadataMap) {
        let header = self.to_string();
        if let Ok(value) = MetadataValue::try_from(header) {
            metadata.insert(TRACEPARENT, value);
        }
    }
}

/// As the W3C header `traceparent`.
impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.0.trace_flags().to_u8();
        write!(formatter, "00-{}-{}-{flags:02x}", self.0.trace_id(), self.0.span_id())
    }
}

struct Headers<'a>(&'a MetadataMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_from_call_to_call_under_new_spans() {
        let mut metadata = MetadataMap::new();
        let first = Trace::start();
        first.inject(&mut metadata);
        let second = Trace::from_metadata(&metadata);
        assert_eq!(first.id(), second.id());
        assert_ne!(first.to_string(), second.to_string());
    }

    #[test]
    fn a_malformed_traceparent_starts_a_new_trace() {
        let mut metadata = MetadataMap::new();
        metadata.insert(TRACEPARENT, MetadataValue::from_static("00-nonsense"));
        assert_eq!(Trace::from_metadata(&metadata).id().len(), 32);
        assert_eq!(Trace::resume("zz").id().len(), 32);
    }
}
