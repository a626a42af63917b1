//! One line a call: what it was asked, at debug level, and how it ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clock::{Clock, Timestamp};
use proto::facade::v1::Reason;
use tonic::Code;

use super::Asked;
use crate::{context::Context, end::End, log::Calls, redact};

/// A call that takes longer is logged whatever the setting.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// Which calls get a end.
#[derive(Clone, Debug)]
pub(super) struct Log {
    calls: Calls,
    clock: Clock,
    overload: Arc<Overload>,
}

/// Nothing is decoded for a log that nobody writes.
pub(super) fn before(message: &impl Asked) {
    if redact::wanted() {
        redact::log_request(message.shown());
    }
}

impl Log {
    pub(super) fn new(calls: Calls, clock: Clock) -> Self {
        Self { calls, clock, overload: Arc::default() }
    }

    pub(super) fn after(&self, context: &Context, end: &End) {
        if end.is_foreign() {
            return;
        }
        let elapsed = context.elapsed();
        let notable_only = self.calls == Calls::Notable;
        let mut refused = None;
        if notable_only && end.reason == Reason::Overloaded.code() {
            refused = self.overload.refused(self.clock.now());
            if refused.is_none() {
                return;
            }
        } else if notable_only && end.is_plain() && elapsed < SLOW_CALL {
            return;
        }
        line(context, end, elapsed, refused);
    }
}

fn line(context: &Context, end: &End, elapsed: Duration, refused: Option<u64>) {
    let peer = context.identity().caller.peer.map(|peer| peer.to_string());
    let peer = peer.as_deref().unwrap_or("in-process");
    let elapsed_ms = clock::millis(elapsed);
    let status = format!("{:?}", end.code);
    let reason = end.reason.as_ref();
    if let Some(cause) = &end.cause {
        tracing::error!(peer, elapsed_ms, status, reason, cause, "call failed");
    } else if matches!(end.code, Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists) {
        // What stands in the store decided, as with a decline: nothing is wrong with the caller or with us.
        tracing::info!(peer, elapsed_ms, status, reason, why = end.message, "call declined");
    } else if end.code != Code::Ok {
        tracing::warn!(
            peer,
            elapsed_ms,
            status,
            reason,
            refused,
            why = end.message,
            "call refused"
        );
    } else if !end.is_plain() {
        tracing::info!(peer, elapsed_ms, status, reason, why = end.message, "call declined");
    } else {
        tracing::info!(peer, elapsed_ms, status, reason, "call done");
    }
}

/// How long after a line about overload there is no other. Under more load than there is room for, a line a call would
/// cost more than the refusal that it tells of.
const OVERLOAD_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Calls that were refused because there was too much to do.
#[derive(Debug, Default)]
struct Overload {
    refused: AtomicU64,
    last_line: AtomicU64,
}

impl Overload {
    /// Counts one. Gives how many there are since the last line, when it is time for the next.
    fn refused(&self, now: Timestamp) -> Option<u64> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let last = self.last_line.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Timestamp(last)) >= OVERLOAD_LOG_INTERVAL;
        // Of two that come at once, one writes the line.
        let mine = due
            && self
                .last_line
                .compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        mine.then(|| self.refused.swap(0, Ordering::Relaxed))
    }
}
