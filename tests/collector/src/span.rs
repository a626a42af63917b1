//! Spans as a test looks at them.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{self as otlp, span::SpanKind, status::StatusCode},
};

/// Attributes by name, each as text.
pub type Attributes = BTreeMap<String, String>;

/// On which side of a call a span stands.
pub type Kind = SpanKind;

/// A span that was taken. Ids are hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of its trace.
    pub trace_id: String,
    /// Of itself.
    pub id: String,
    /// Of the span above it; `None` where there is none.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// On which side of a call it stands.
    pub kind: Kind,
    /// When it began, in nanoseconds since the epoch.
    pub start: u64,
    /// When it ended, in nanoseconds since the epoch.
    pub end: u64,
    /// What is known of it.
    pub attributes: Attributes,
    /// What happened in it.
    pub events: Vec<Event>,
    /// The spans that it has to do with.
    pub links: Vec<Link>,
    /// The message of its status where that is an error.
    pub error: Option<String>,
    /// What the process says of itself.
    pub resource: Arc<Attributes>,
}

/// What happened in a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub attributes: Attributes,
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Of the other span's trace.
    pub trace_id: String,
    /// Of the other span.
    pub span_id: String,
    /// What it is to the span that has the link.
    pub attributes: Attributes,
}

impl Span {
    /// An attribute; empty where there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

pub(crate) fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|resource| attributes(resource.attributes));
        let resource = Arc::new(resource.unwrap_or_default());
        for of_scope in of_resource.scope_spans {
            spans.extend(of_scope.spans.into_iter().map(|span| read_span(span, &resource)));
        }
    }
    spans
}

fn read_span(span: otlp::Span, resource: &Arc<Attributes>) -> Span {
    let kind = span.kind();
    let error = span.status.filter(|status| status.code() == StatusCode::Error);
    Span {
        trace_id: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        name: span.name,
        kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: attributes(span.attributes),
        events: span
            .events
            .into_iter()
            .map(|event| Event { name: event.name, attributes: attributes(event.attributes) })
            .collect(),
        links: span
            .links
            .into_iter()
            .map(|link| Link {
                trace_id: hex(&link.trace_id),
                span_id: hex(&link.span_id),
                attributes: attributes(link.attributes),
            })
            .collect(),
        error: error.map(|status| status.message),
        resource: Arc::clone(resource),
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    let count = attributes.len();
    let text = |KeyValue { key, value, .. }| (key, value.map(text).unwrap_or_default());
    let read: Attributes = attributes.into_iter().map(text).collect();
    assert_eq!(read.len(), count, "an attribute is there twice: {read:?}");
    read
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
