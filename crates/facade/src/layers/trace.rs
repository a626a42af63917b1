//! The trace that the call belongs to, and the span that its log lines stand in.

use std::borrow::Cow;

use tracing::Span;

use super::Head;
use crate::{Trace, context::Context, echo};

pub(super) fn before(head: &Head<'_>) -> Trace {
    Trace::from_headers(head.headers)
}

pub(super) fn span(context: &Context) -> Span {
    let (method, saga) = (&*told(context.method()), &context.identity().saga);
    let trace_id = context.trace().id();
    if saga.saga_id().is_empty() {
        tracing::info_span!("rpc", method, trace.id = trace_id)
    } else {
        tracing::info_span!(
            "rpc",
            method,
            saga.id = &*told(saga.saga_id()),
            saga.step = &*told(saga.step()),
            saga.direction = &*told(saga.direction()),
            trace.id = trace_id
        )
    }
}

/// Headers are the caller's, and may be as long as all headers together.
fn told(header: &str) -> Cow<'_, str> {
    echo::cut(header, echo::VALUE)
}
