//! Spans that are told to the collector, under the ids of their positions.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, Status, TraceContextExt},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Export, KeyValue, Link, SpanKind, TARGET, Trace, ids};

/// What class of error a span ended with, as OpenTelemetry's conventions name it.
const ERROR_TYPE: &str = "error.type";

/// A span that begins now.
#[derive(Debug)]
pub struct Live {
    /// Its position.
    pub trace: Trace,
    /// Its name: of few values, never with an id in it.
    pub name: Cow<'static, str>,
    /// On which side of which call it stands.
    pub kind: SpanKind,
    /// What is known of it at its beginning. No payloads, and no texts of strangers that are not cut.
    pub attributes: Vec<KeyValue>,
    /// The spans that it has to do with, beside its parent: see [`Trace::link`].
    pub links: Vec<Link>,
}

impl Live {
    /// Opens it as a span of `tracing`: log lines at the level info and above that are written within it are its events. It
    /// ends with [`end`], or when it is dropped. One of a trace that is not exported is a span that costs nothing.
    #[must_use]
    pub fn open(self) -> Span {
        if !self.trace.is_exported() {
            return Span::none();
        }
        let kind = match self.kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Internal => "internal",
        };
        let span = tracing::info_span!(target: TARGET, parent: None, "span", otel.kind = kind);
        let parent = match self.trace.parent_id() {
            Some(parent) => {
                Context::new().with_remote_span_context(context_of(&self.trace, parent))
            }
            None => Context::new(),
        };
        // A process that logs by another subscriber has no layer for it, and its spans are told to nobody.
        let _ = span.set_parent(parent);
        let (trace_id, span_id) = (self.trace.trace_id(), self.trace.span_id());
        let opened = ids::with(trace_id, span_id, || span.context());
        let told = opened.span();
        told.update_name(self.name);
        told.set_attributes(self.attributes);
        for link in self.links {
            told.add_link(link.span_context, link.attributes);
        }
        span
    }
}

fn context_of(trace: &Trace, span_id: SpanId) -> SpanContext {
    let span = trace.span();
    let state = span.trace_state().clone();
    SpanContext::new(span.trace_id(), span_id, span.trace_flags(), true, state)
}

/// Adds what came to be known of a live span, where it is told at all.
pub(crate) fn tell(span: &Span, attributes: impl IntoIterator<Item = KeyValue>) {
    if !span.is_none() {
        span.context().span().set_attributes(attributes);
    }
}

/// Gives a live span another name.
pub(crate) fn rename(span: &Span, name: String) {
    if !span.is_none() {
        span.context().span().update_name(name);
    }
}

/// Whether a live span has not ended.
pub(crate) fn is_open(span: &Span) -> bool {
    !span.is_none() && span.context().span().is_recording()
}

/// Says that what a live span stands for failed. `error_type` is of few values; a message is not told, since it may
/// repeat what a stranger wrote.
pub fn set_error(span: &Span, error_type: &'static str) {
    if !span.is_none() {
        let told = span.context();
        told.span().set_status(Status::error(""));
        told.span().set_attribute(KeyValue::new(ERROR_TYPE, error_type));
    }
}

/// Ends a live span now, whoever still has a handle to it.
pub fn end(span: &Span) {
    if !span.is_none() {
        span.context().span().end();
    }
}

/// A span that is over, or of which the times are known from elsewhere.
#[derive(Debug)]
pub struct Past {
    /// Its position.
    pub trace: Trace,
    /// Its name, as that of a [`Live`] one.
    pub name: Cow<'static, str>,
    /// On which side of which call it stands.
    pub kind: SpanKind,
    /// When it began.
    pub start: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What is known of it, as of a [`Live`] one.
    pub attributes: Vec<KeyValue>,
    /// The spans that it has to do with, beside its parent.
    pub links: Vec<Link>,
    /// The class of error that it ended with, if it did.
    pub error: Option<&'static str>,
}

impl Past {
    /// Tells it to the collector, where its trace is exported.
    pub fn export(self) {
        let Some(export) = Export::get().filter(|_| self.trace.is_exported()) else { return };
        let Self { trace, name, kind, start, end, mut attributes, links, error } = self;
        let parent = trace.parent_id();
        attributes.extend(error.map(|error| KeyValue::new(ERROR_TYPE, error)));
        let mut linked = SpanLinks::default();
        linked.links = links;
        export.queue().push(SpanData {
            span_context: trace.span().clone(),
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: parent.is_some(),
            span_kind: kind,
            name,
            start_time: start,
            end_time: end.max(start),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: linked,
            status: error.map_or(Status::Unset, |_| Status::error("")),
            instrumentation_scope: export.scope().clone(),
        });
    }
}
