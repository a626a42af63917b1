//! The trace that the call belongs to, the span that is told of it, and what its log lines say of it.

use std::{borrow::Cow, fmt::Display};

use tonic::{Code, transport::server::TcpConnectInfo};
use tracing::Span;

use super::{Head, Identity};
use crate::{
    Trace,
    context::Context,
    dispatch::Method,
    echo,
    end::End,
    log::Fields,
    trace::{self, KeyValue, Live, SpanKind},
    wire::code_name,
};

/// What a method is called that nobody serves: whatever strangers ask for would be names of its own.
const UNKNOWN_METHOD: &str = "_OTHER";
const METHOD: &str = "rpc.method";
const STATUS_CODE: &str = "rpc.response.status_code";

pub(super) fn before(head: &Head<'_>) -> Trace {
    Trace::from_headers(head.headers)
}

/// What is told of a call to the collector.
#[derive(Debug)]
pub(crate) struct ServerSpan {
    span: Span,
    /// Whether its method was known when it was opened.
    is_named: bool,
}

/// Opens the call's span, by the conventions of OpenTelemetry for RPCs.
pub(super) fn open(
    head: &Head<'_>,
    method: Option<&Method>,
    trace: &Trace,
    identity: &Identity,
) -> ServerSpan {
    if !trace.is_exported() {
        return ServerSpan { span: Span::none(), is_named: false };
    }
    let mut attributes = vec![KeyValue::new("rpc.system.name", "grpc")];
    let name = match method {
        Some(_) => name(head.path.path()),
        None => UNKNOWN_METHOD.to_owned(),
    };
    if method.is_some() {
        attributes.push(KeyValue::new(METHOD, name.clone()));
    }
    let connection = head.extensions.get::<TcpConnectInfo>();
    if let Some(local) = connection.and_then(TcpConnectInfo::local_addr) {
        attributes.push(KeyValue::new("server.address", local.ip().to_string()));
        attributes.push(KeyValue::new("server.port", i64::from(local.port())));
    }
    saga_fields(identity, &mut |name, value| {
        attributes.push(KeyValue::new(name, value.to_string()));
    });
    let (trace, kind, links) = (trace.clone(), SpanKind::Server, Vec::new());
    let span = Live { trace, name: name.into(), kind, attributes, links }.open();
    ServerSpan { span, is_named: method.is_some() }
}

impl ServerSpan {
    /// The span as `tracing` has it; none where the call's trace is not exported.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// What ends the span where the caller goes away before the call is answered.
    pub(super) fn guard(&self) -> Option<Unanswered> {
        (!self.span.is_none()).then(|| Unanswered(self.span.clone()))
    }
}

/// Ends the call's span as the call ended.
pub(super) fn after(context: &Context, end: &End) {
    let ServerSpan { span, is_named } = context.span();
    if span.is_none() {
        return;
    }
    if end.is_foreign() {
        // Somebody has answered, so there is such a method.
        trace::rename(span, name(context.method()));
        trace::tell(span, [KeyValue::new(METHOD, name(context.method()))]);
    } else if !is_named {
        trace::tell(span, [KeyValue::new(METHOD, UNKNOWN_METHOD)]);
    }
    trace::tell(span, [KeyValue::new(STATUS_CODE, code_name(end.code))]);
    if !end.is_success() && !end.reason.is_empty() {
        let reason = echo::cut(&end.reason, echo::VALUE).into_owned();
        trace::tell(span, [KeyValue::new("saga.reason", reason)]);
    }
    if is_error(end.code) {
        trace::set_error(span, code_name(end.code));
    }
    trace::end(span);
}

/// Whether the server is at fault where a call ends so.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Ends the span of a call whose caller went away before it was answered.
pub(super) struct Unanswered(Span);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if trace::is_open(&self.0) {
            trace::tell(&self.0, [KeyValue::new(STATUS_CODE, code_name(Code::Cancelled))]);
            trace::end(&self.0);
        }
    }
}

/// What the log lines of a call say of it.
impl Fields for Context {
    fn each(&self, field: &mut dyn FnMut(&'static str, &dyn Display)) {
        field("method", &told(self.method()));
        saga_fields(self.identity(), field);
        field("trace.id", &self.trace().trace_id());
        field("span.id", &self.trace().span_id());
    }
}

fn saga_fields(identity: &Identity, field: &mut dyn FnMut(&'static str, &dyn Display)) {
    let saga = &identity.saga;
    if saga.saga_id().is_empty() {
        return;
    }
    field("saga.id", &told(saga.saga_id()));
    field("saga.step", &told(saga.step()));
    field("saga.direction", &told(saga.direction()));
}

/// The method as spans are called by it.
fn name(path: &str) -> String {
    told(path.trim_start_matches('/')).into_owned()
}

/// Headers are the caller's, and may be as long as all headers together.
fn told(header: &str) -> Cow<'_, str> {
    echo::cut(header, echo::VALUE)
}
