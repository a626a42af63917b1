//! W3C trace context, in and out.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator},
};

use crate::caller::never_indexed;

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest `tracestate` that is kept: as much as W3C asks every hop to pass on.
const MAX_TRACESTATE_BYTES: usize = 512;

/// Where a call stands in its trace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trace(Arc<TracePosition>);

#[derive(Debug)]
struct TracePosition {
    span: SpanContext,
    /// Written once for all calls of a saga.
    headers: OnceLock<[Option<HeaderValue>; 2]>,
}

impl Trace {
    /// A new trace, sampled: nobody decided otherwise.
    #[must_use]
    pub fn start() -> Self {
        let trace_id = RandomIdGenerator::default().new_trace_id();
        Self::span_of(trace_id, TraceFlags::SAMPLED, TraceState::NONE)
    }

    /// The trace that the headers carry on, or a new one where they carry none that is valid.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let parent = context.span().span_context().clone();
        if parent.is_valid() {
            Self::span_of(parent.trace_id(), parent.trace_flags(), parent.trace_state().clone())
        } else {
            Self::start()
        }
    }

    /// The trace as it is written down for work that goes on after its first call: id, sampling decision, and the
    /// vendors' state where it is not too long.
    #[must_use]
    pub fn keep(&self) -> String {
        let kept = format!("{}-{:02x}", self.span().trace_id(), self.span().trace_flags().to_u8());
        match self.span().trace_state().header() {
            state if state.is_empty() || state.len() > MAX_TRACESTATE_BYTES => kept,
            state => format!("{kept} {state}"),
        }
    }

    /// The id of a trace that [`Trace::keep`] wrote down.
    #[must_use]
    pub fn id_of(kept: &str) -> &str {
        kept.split('-').next().unwrap_or_default()
    }

    /// A new span of a trace that [`Trace::keep`] wrote down; a new trace where it cannot be read.
    #[must_use]
    pub fn resume(kept: &str) -> Self {
        Self::read(kept).unwrap_or_else(Self::start)
    }

    fn read(kept: &str) -> Option<Self> {
        let (ids, state) = kept.split_once(' ').unwrap_or((kept, ""));
        let (trace_id, flags) = ids.split_once('-')?;
        let trace_id = TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID)?;
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
        Some(Self::span_of(trace_id, flags, TraceState::from_str(state).unwrap_or_default()))
    }

    fn span_of(trace_id: TraceId, flags: TraceFlags, state: TraceState) -> Self {
        let span_id: SpanId = RandomIdGenerator::default().new_span_id();
        let span = SpanContext::new(trace_id, span_id, flags, true, state);
        Self(Arc::new(TracePosition { span, headers: OnceLock::new() }))
    }

    fn span(&self) -> &SpanContext {
        &self.0.span
    }

    /// The trace id: 32 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.span().trace_id().to_string()
    }

    /// Passes the trace on with an outgoing call.
    pub(crate) fn inject(&self, headers: &mut HeaderMap) {
        let written = self.0.headers.get_or_init(|| {
            [self.to_string(), self.span().trace_state().header()].map(|header| {
                let value = HeaderValue::try_from(header).ok().filter(|value| !value.is_empty());
                value.map(never_indexed)
            })
        });
        for (name, value) in [&TRACEPARENT, &TRACESTATE].into_iter().zip(written) {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Writes the W3C header `traceparent`.
impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.span().trace_flags().to_u8();
        write!(formatter, "00-{}-{}-{flags:02x}", self.span().trace_id(), self.span().span_id())
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT.as_str(), TRACESTATE.as_str()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_from_call_to_call_under_new_spans() {
        let mut headers = HeaderMap::new();
        let first = Trace::start();
        first.inject(&mut headers);
        let second = Trace::from_headers(&headers);
        assert_eq!(first.id(), second.id());
        assert_ne!(first.to_string(), second.to_string());
    }

    fn from_request(traceparent: &'static str, tracestate: &'static str) -> Trace {
        let headers = [
            (TRACEPARENT.clone(), HeaderValue::from_static(traceparent)),
            (TRACESTATE.clone(), HeaderValue::from_static(tracestate)),
        ];
        Trace::from_headers(&HeaderMap::from_iter(headers))
    }

    fn sent(trace: &Trace) -> (String, String) {
        let mut headers = HeaderMap::new();
        trace.inject(&mut headers);
        let header = |name: &HeaderName| {
            headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default().to_owned()
        };
        (header(&TRACEPARENT), header(&TRACESTATE))
    }

    #[test]
    fn the_decision_to_sample_and_the_state_go_on_to_the_next_call_and_into_what_is_kept() {
        for (flags, parent) in [
            ("00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            ("01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ] {
            let trace = from_request(parent, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
            let resumed = Trace::resume(&trace.keep());
            for trace in [&trace, &resumed] {
                let (traceparent, tracestate) = sent(trace);
                assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
                assert!(traceparent.ends_with(flags), "{traceparent}");
                assert_eq!(tracestate, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
            }
            assert_eq!(Trace::id_of(&trace.keep()), trace.id());
        }
    }

    #[test]
    fn a_trace_without_state_sends_and_keeps_none() {
        let trace = Trace::start();
        assert_eq!(sent(&trace).1, "");
        assert_eq!(trace.keep(), format!("{}-01", trace.id()));
        assert_eq!(Trace::resume(&trace.keep()).id(), trace.id());
    }

    #[test]
    fn a_malformed_traceparent_starts_a_new_trace() {
        assert_eq!(from_request("00-nonsense", "").id().len(), 32);
        for kept in ["", "zz", "zz-01", "0af7651916cd43dd8448eb211c80319c-", "0-01 a=b"] {
            assert_eq!(Trace::resume(kept).id().len(), 32, "{kept:?}");
        }
    }
}
