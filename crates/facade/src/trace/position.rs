//! Where a call stands in its trace, and W3C trace context in and out.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::{Export, KeyValue};
use crate::caller::never_indexed;

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest `tracestate` that is kept and passed on: as much as W3C asks every hop to pass on.
const MAX_TRACESTATE_BYTES: usize = 512;
/// What a link is for: `retry_of`, `compensates` and the like.
const LINK_KIND: &str = "saga.link";

/// Where a call stands in its trace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trace(Arc<TracePosition>);

#[derive(Debug)]
struct TracePosition {
    span: SpanContext,
    /// Invalid where the trace begins here.
    parent: SpanId,
    /// Written once for all calls that are made under it.
    headers: OnceLock<[Option<HeaderValue>; 2]>,
}

impl Trace {
    /// A new trace. Where spans are exported the ratio decides whether this one's are; otherwise it is sampled, since
    /// nobody decided otherwise.
    #[must_use]
    pub fn start() -> Self {
        let trace_id = RandomIdGenerator::default().new_trace_id();
        let sampled = Export::get().is_none_or(|export| export.samples(trace_id));
        let flags = TraceFlags::NOT_SAMPLED.with_sampled(sampled);
        Self::at((trace_id, new_span_id()), SpanId::INVALID, flags, TraceState::NONE)
    }

    /// A new span of the same trace, below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        self.below(new_span_id())
    }

    /// The span `span_id` of the same trace, below this one.
    #[must_use]
    pub fn below(&self, span_id: SpanId) -> Self {
        let span = self.span();
        let ids = (span.trace_id(), span_id);
        Self::at(ids, span.span_id(), span.trace_flags(), span.trace_state().clone())
    }

    /// The first span of another trace, which keeps this one's decision to sample: for work that goes on so long after
    /// this span that it is a picture of its own. What was before is told by a [`Trace::link`].
    #[must_use]
    pub fn linked(&self, trace_id: TraceId, span_id: SpanId) -> Self {
        let span = self.span();
        let ids = (trace_id, span_id);
        Self::at(ids, SpanId::INVALID, span.trace_flags(), span.trace_state().clone())
    }

    /// A link to this span. `kind` says what it is to the span that has the link.
    #[must_use]
    pub fn link(&self, kind: &'static str) -> Link {
        Link::new(self.span().clone(), vec![KeyValue::new(LINK_KIND, kind)], 0)
    }

    /// A new span of the trace that the headers carry on, or a new trace where they carry none that is valid.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let traceparent = headers.get(&TRACEPARENT).and_then(|value| value.to_str().ok());
        let Some((trace_id, parent, flags)) = traceparent.and_then(read_traceparent) else {
            return Self::start();
        };
        let state = headers.get(&TRACESTATE).filter(|state| state.len() <= MAX_TRACESTATE_BYTES);
        let state = state.and_then(|state| TraceState::from_str(state.to_str().ok()?).ok());
        Self::at((trace_id, new_span_id()), parent, flags, state.unwrap_or_default())
    }

    /// The position as it is written down for work that goes on after its first call: trace id, sampling decision, span id, and
    /// the vendors' state.
    #[must_use]
    pub fn keep(&self) -> String {
        let span = self.span();
        let (flags, state) = (span.trace_flags().to_u8(), span.trace_state().header());
        let kept = format!("{}-{flags:02x}-{}", span.trace_id(), span.span_id());
        if state.is_empty() { kept } else { format!("{kept} {state}") }
    }

    /// The id of a trace that [`Trace::keep`] wrote down.
    #[must_use]
    pub fn id_of(kept: &str) -> &str {
        kept.split('-').next().unwrap_or_default()
    }

    /// The id of the span that [`Trace::keep`] wrote down; `None` where an earlier version did.
    #[must_use]
    pub fn span_id_of(kept: &str) -> Option<&str> {
        kept.split(' ').next()?.split('-').nth(2)
    }

    /// The position that [`Trace::keep`] wrote down, without its parent; a new trace where it cannot be read. What earlier
    /// versions wrote has no span id: it gets a new one.
    #[must_use]
    pub fn resume(kept: &str) -> Self {
        Self::read(kept).unwrap_or_else(Self::start)
    }

    fn read(kept: &str) -> Option<Self> {
        let (ids, state) = kept.split_once(' ').unwrap_or((kept, ""));
        let mut ids = ids.split('-');
        let trace_id = TraceId::from_hex(ids.next()?).ok().filter(|id| *id != TraceId::INVALID)?;
        let flags = TraceFlags::new(u8::from_str_radix(ids.next()?, 16).ok()?);
        let span_id = match ids.next() {
            Some(span_id) => SpanId::from_hex(span_id).ok().filter(|id| *id != SpanId::INVALID)?,
            None => new_span_id(),
        };
        let state = TraceState::from_str(state).unwrap_or_default();
        Some(Self::at((trace_id, span_id), SpanId::INVALID, flags, state))
    }

    fn at(ids: (TraceId, SpanId), parent: SpanId, flags: TraceFlags, state: TraceState) -> Self {
        let span = SpanContext::new(ids.0, ids.1, flags, true, state);
        Self(Arc::new(TracePosition { span, parent, headers: OnceLock::new() }))
    }

    pub(super) fn span(&self) -> &SpanContext {
        &self.0.span
    }

    /// The trace id: 32 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.trace_id().to_string()
    }

    /// The trace id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.span().trace_id()
    }

    /// The id of this span.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.span().span_id()
    }

    /// The id of the span that this one is below; `None` where it is the first of its trace, or that is not known.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        (self.0.parent != SpanId::INVALID).then_some(self.0.parent)
    }

    /// Whether this process exports the spans of the trace. Whoever has something to tell of a span asks this first.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.span().trace_flags().is_sampled() && Export::get().is_some()
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
        write!(formatter, "00-{}-{}-{flags:02x}", self.trace_id(), self.span_id())
    }
}

fn new_span_id() -> SpanId {
    RandomIdGenerator::default().new_span_id()
}

/// Reads the W3C header `traceparent`, of whose flags only the decision to sample is known. A version after the first may
/// have more behind a dash. `None` where it is not valid.
fn read_traceparent(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    /// `VERSION-TRACE_ID-SPAN_ID-FLAGS`.
    const LENGTH: usize = 55;
    let (read, more) = text.split_at_checked(LENGTH)?;
    let is_known = more.is_empty() || more.starts_with('-') && !read.starts_with("00");
    let mut parts = read.split('-');
    let mut part = |length| parts.next().filter(|part| part.len() == length && is_hex(part));
    let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let trace_id = TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID)?;
    let span_id = SpanId::from_hex(span_id).ok().filter(|id| *id != SpanId::INVALID)?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    (is_known && version != "ff").then_some((trace_id, span_id, flags))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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
        assert_eq!(second.parent_id(), Some(first.span_id()));
        assert_ne!(first.span_id(), second.span_id());
        let child = second.child();
        assert_eq!((child.id(), child.parent_id()), (first.id(), Some(second.span_id())));
    }

    #[test]
    fn a_linked_trace_is_another_one_with_the_same_decision() {
        let first = from_request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "");
        let (trace_id, span_id) = (TraceId::from(7), SpanId::from(8));
        let linked = first.linked(trace_id, span_id);
        assert_eq!((linked.trace_id(), linked.span_id()), (trace_id, span_id));
        assert_eq!((linked.parent_id(), linked.span().is_sampled()), (None, false));
        assert_eq!(first.link("resumed_from").span_context, *first.span());
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
            assert_eq!(resumed.span_id(), trace.span_id());
            assert_eq!(Trace::id_of(&trace.keep()), trace.id());
        }
    }

    #[test]
    fn a_trace_without_state_sends_and_keeps_none() {
        let trace = Trace::start();
        assert_eq!(sent(&trace).1, "");
        assert_eq!(trace.keep(), format!("{}-01-{}", trace.id(), trace.span_id()));
        assert_eq!(Trace::resume(&trace.keep()).id(), trace.id());
    }

    #[test]
    fn what_earlier_versions_kept_is_read() {
        let kept = "0af7651916cd43dd8448eb211c80319c-00 congo=t61";
        let trace = Trace::resume(kept);
        assert_eq!(trace.id(), "0af7651916cd43dd8448eb211c80319c");
        assert!(!trace.span().is_sampled());
        assert_ne!(trace.span_id(), Trace::resume(kept).span_id());
    }

    #[test]
    fn a_malformed_traceparent_starts_a_new_trace() {
        let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for malformed in [
            String::new(),
            "00-nonsense".to_owned(),
            sound.to_uppercase(),
            sound.replace("-b", "_b"),
            sound.replace("00-", "ff-"),
            sound.replace("b7ad6b7169203331", "0000000000000000"),
            sound.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            format!("{sound}-more"),
            format!(" {sound}"),
            format!("{sound}-{}", "x".repeat(10_000)),
            "é".repeat(5_000),
        ] {
            assert_eq!(read_traceparent(&malformed), None, "{malformed:.80}");
        }
        assert_eq!(from_request("00-nonsense", "").id().len(), 32);
        for kept in ["", "zz", "zz-01", "0af7651916cd43dd8448eb211c80319c-", "0-01 a=b"] {
            assert_eq!(Trace::resume(kept).id().len(), 32, "{kept:?}");
        }
    }

    #[test]
    fn a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known() {
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-what-comes";
        let (trace_id, parent, flags) = read_traceparent(later).unwrap();
        assert_eq!(trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.to_string(), "b7ad6b7169203331");
        assert_eq!(flags, TraceFlags::SAMPLED);
    }

    #[test]
    fn a_state_longer_than_every_hop_must_pass_on_is_left_out() {
        let state: &'static str = format!("congo={}", "x".repeat(600)).leak();
        let trace = from_request("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state);
        assert_eq!((sent(&trace).1.as_str(), trace.keep().contains(' ')), ("", false));
    }
}
