//! What the log says of a call that goes out: which step of a saga makes it, what came of it, and, at debug level, both
//! messages without the fields marked `debug_redact`.

use std::time::Duration;

use bytes::Bytes;
use clock::Timer;
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use participant::key::{SAGA_DIRECTION, SAGA_STEP};
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use proto::shown::redacted;

use super::CallError;
use crate::{Trace, echo, redact};

/// Each part is a counted reference: a call that is not logged must not pay for its line.
pub(super) struct CallLog {
    path: PathAndQuery,
    step: Option<HeaderValue>,
    direction: Option<HeaderValue>,
    trace: Trace,
    timer: Timer,
}

impl CallLog {
    pub(super) fn begin(
        path: &PathAndQuery,
        headers: &HeaderMap,
        trace: &Trace,
        timer: Timer,
    ) -> Self {
        Self {
            path: path.clone(),
            step: headers.get(&SAGA_STEP).cloned(),
            direction: headers.get(&SAGA_DIRECTION).cloned(),
            trace: trace.clone(),
            timer,
        }
    }

    /// How long ago the call began.
    pub(super) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    /// What was called.
    pub(super) fn path(&self) -> &PathAndQuery {
        &self.path
    }

    pub(super) fn request(&self, descriptor: &MethodDescriptor, request: &Bytes) {
        if !redact::is_logged() {
            return;
        }
        if let Some(request) = shown(descriptor.input(), request) {
            tracing::debug!(
                callee = self.path.path(),
                saga.step = text(&self.step),
                saga.direction = text(&self.direction),
                trace.id = %self.trace.trace_id(),
                span.id = %self.trace.span_id(),
                %request,
                "calling"
            );
        }
    }

    pub(super) fn end(self, descriptor: &MethodDescriptor, answer: &Result<Bytes, CallError>) {
        let elapsed_us = clock::micros(self.timer.elapsed());
        let (callee, step, direction) = (self.path.path(), text(&self.step), text(&self.direction));
        match answer {
            Ok(response) if redact::is_logged() => {
                let response = shown(descriptor.output(), response);
                let response = response.map(tracing::field::display);
                tracing::debug!(
                    callee,
                    saga.step = step,
                    saga.direction = direction,
                    trace.id = %self.trace.trace_id(),
                    span.id = %self.trace.span_id(),
                    elapsed_us,
                    response,
                    "called"
                );
            }
            Ok(_) => {}
            Err(CallError::NotSent(not_sent)) => {
                tracing::info!(
                    callee,
                    saga.step = step,
                    saga.direction = direction,
                    trace.id = %self.trace.trace_id(),
                    span.id = %self.trace.span_id(),
                    elapsed_us,
                    obstacle = ?not_sent.obstacle,
                    why = &*echo::cut(&not_sent.message, echo::SENTENCE),
                    "call not sent"
                );
            }
            Err(CallError::Status(status)) => {
                let code = format!("{:?}", status.code());
                tracing::info!(
                    callee,
                    saga.step = step,
                    saga.direction = direction,
                    trace.id = %self.trace.trace_id(),
                    span.id = %self.trace.span_id(),
                    elapsed_us,
                    status = code,
                    why = &*echo::cut(status.message(), echo::SENTENCE),
                    "call failed"
                );
            }
        }
    }
}

/// Empty for a call that is no step of a saga.
fn text(header: &Option<HeaderValue>) -> &str {
    header.as_ref().and_then(|header| header.to_str().ok()).unwrap_or_default()
}

/// `None` where the bytes are no such message.
fn shown(kind: MessageDescriptor, bytes: &Bytes) -> Option<DynamicMessage> {
    DynamicMessage::decode(kind, bytes.clone()).ok().map(redacted)
}
