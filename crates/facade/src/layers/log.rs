//! One line a call: what it was asked, at debug level, and how it ended.

use std::{sync::Arc, time::Duration};

use clock::Clock;
use tonic::Code;

use crate::{
    Call,
    context::Context,
    dispatch::Method,
    end::End,
    log::{Calls, Samples},
    redact,
};

/// A call that takes longer is logged whatever the setting.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// Lines a second for each reason about calls that did not do what they were asked to.
const LINES_PER_SECOND: u32 = 10;

/// Which calls get a line.
#[derive(Clone, Debug)]
pub(super) struct Log {
    calls: Calls,
    clock: Clock,
    refused: Arc<Samples>,
}

/// Nothing is decoded for a log that nobody writes.
pub(super) fn before(call: &Call, method: &Method) {
    if redact::is_logged() {
        redact::log_request(redact::shown(method.route.method().input(), call.body()));
    }
}

impl Log {
    pub(super) fn new(calls: Calls, clock: Clock) -> Self {
        Self { calls, clock, refused: Arc::new(Samples::of(LINES_PER_SECOND)) }
    }

    pub(super) fn after(&self, context: &Context, end: &End) {
        if end.is_foreign() {
            return;
        }
        let elapsed = context.elapsed();
        if end.is_success() {
            if self.calls == Calls::All || elapsed >= SLOW_CALL {
                line(context, end, elapsed, None);
            }
        } else if let Some(calls) = self.refused.count(&end.reason, self.clock.now()) {
            line(context, end, elapsed, (calls > 1).then_some(calls));
        }
    }
}

/// `calls`: for how many like it the line stands.
fn line(context: &Context, end: &End, elapsed: Duration, calls: Option<u64>) {
    let peer = context.identity().caller.peer.map(|peer| peer.to_string());
    let peer = peer.as_deref().unwrap_or("in-process");
    let elapsed_us = clock::micros(elapsed);
    let status = format!("{:?}", end.code);
    let reason = end.reason.as_ref();
    if let Some(cause) = &end.cause {
        tracing::error!(peer, elapsed_us, status, reason, calls, cause, "call failed");
    } else if end.is_decline() {
        tracing::info!(peer, elapsed_us, status, reason, calls, why = end.message, "call declined");
    } else if end.code != Code::Ok {
        tracing::warn!(peer, elapsed_us, status, reason, calls, why = end.message, "call refused");
    } else {
        tracing::info!(peer, elapsed_us, status, reason, "call done");
    }
}
