//! The trace that the call belongs to, and the span that its log lines stand in.

use tracing::Span;

use super::Head;
use crate::{Trace, context::Context};

pub(super) fn before(head: &Head<'_>) -> Trace {
    Trace::from_headers(head.headers)
}

pub(super) fn span(context: &Context) -> Span {
    let (method, saga) = (context.method(), &context.identity().saga);
    let trace_id = context.trace().id();
    if saga.saga_id().is_empty() {
        tracing::info_span!("rpc", method, trace.id = trace_id)
    } else {
        tracing::info_span!(
            "rpc",
            method,
            saga.id = saga.saga_id(),
            saga.step = saga.step(),
            saga.direction = saga.direction(),
            trace.id = trace_id
        )
    }
}
