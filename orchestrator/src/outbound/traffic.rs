//! What the attempts of calls to one participant have come to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use facade::caller::{CallError, NotSent, Obstacle};
use saga::Answer;
use tonic::Code;

use super::limiter::Timing;

/// What an attempt came to, whatever becomes of its saga.
const RESULTS: [&str; 6] = ["ok", "declined", "unknown", "pushed_back", "not_sent", "unusable"];

/// Counts the attempts to one participant, and knows whether it was reached the last time.
#[derive(Debug)]
pub(super) struct Traffic {
    ended: [AtomicU64; RESULTS.len()],
    is_up: AtomicBool,
}

/// What the attempts to one participant have come to.
#[derive(Clone, Debug)]
pub(crate) struct TrafficView {
    /// How many came to what.
    pub(crate) ended: [(&'static str, u64); RESULTS.len()],
    /// Whether the last attempt that tells reached it. One that was never called is up.
    pub(crate) is_up: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { ended: RESULTS.map(|_| AtomicU64::new(0)), is_up: AtomicBool::new(true) }
    }
}

impl Traffic {
    /// An attempt came to this.
    pub(super) fn ended(&self, answer: &Answer) {
        let result = match answer {
            Answer::Done { .. } | Answer::NothingToUndo => 0,
            Answer::Declined(_) => 1,
            Answer::Unknown(_) => 2,
            Answer::PushedBack { .. } => 3,
            Answer::NotSent(_) => 4,
            Answer::Unusable(_) => 5,
        };
        self.ended[result].fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt tells by why it failed, where it did, whether the participant was reached.
    pub(super) fn reached(&self, error: Option<&CallError>, timing: Timing) {
        if let Some(is_up) = is_up(error, timing) {
            self.is_up.store(is_up, Ordering::Relaxed);
        }
    }

    pub(super) fn view(&self) -> TrafficView {
        let counts = self.ended.each_ref().map(|count| count.load(Ordering::Relaxed));
        let mut results = RESULTS.into_iter();
        TrafficView {
            ended: counts.map(|count| (results.next().unwrap_or_default(), count)),
            is_up: self.is_up.load(Ordering::Relaxed),
        }
    }
}

/// `None` where nothing is told.
fn is_up(error: Option<&CallError>, timing: Timing) -> Option<bool> {
    match error {
        None => Some(true),
        Some(CallError::NotSent(NotSent { obstacle, .. })) => match obstacle {
            Obstacle::NoPeer | Obstacle::NoConnection | Obstacle::NotWritten => Some(false),
            Obstacle::Refused => Some(true),
            Obstacle::NoStream | Obstacle::Withdrawn => None,
        },
        Some(CallError::Status(status)) => match status.code() {
            Code::DeadlineExceeded if timing.is_cut_short => None,
            Code::DeadlineExceeded | Code::Unavailable => Some(false),
            Code::Cancelled => None,
            _ => Some(true),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Status;

    use super::*;

    #[test]
    fn a_participant_is_up_that_was_reached_by_the_last_attempt_that_tells() {
        let traffic = Traffic::default();
        assert!(traffic.view().is_up, "nobody has called it yet");
        let timing = |is_cut_short| Timing { limit: Duration::from_secs(1), is_cut_short };
        let not_sent = |obstacle| Some(NotSent::new(obstacle, "why").into());
        let status = |code| Some(Status::new(code, "why").into());
        for (error, is_cut_short, is_up) in [
            (not_sent(Obstacle::NoConnection), false, false),
            (not_sent(Obstacle::NoStream), false, false),
            (None, false, true),
            (not_sent(Obstacle::Withdrawn), false, true),
            (status(Code::Unavailable), false, false),
            (status(Code::ResourceExhausted), false, true),
            (status(Code::DeadlineExceeded), true, true),
            (status(Code::DeadlineExceeded), false, false),
            (not_sent(Obstacle::Refused), false, true),
        ] {
            traffic.reached(error.as_ref(), timing(is_cut_short));
            assert_eq!(traffic.view().is_up, is_up, "{error:?}");
        }
    }
}
