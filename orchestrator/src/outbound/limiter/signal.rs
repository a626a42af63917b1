//! What an attempt's end says of its participant.

use std::time::Duration;

use facade::caller::{CallError, NotSent, Obstacle};
use http::uri::PathAndQuery;
use saga::Answer;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::gate::Signal;

/// How long an attempt was to wait for its answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbound) struct Timing {
    /// From when it was sent.
    pub(in crate::outbound) limit: Duration,
    /// The deadline of its saga leaves less than the step's own limit.
    pub(in crate::outbound) is_cut_short: bool,
}

/// What is said by why a call failed, where it did, and by what the definition makes of that.
pub(in crate::outbound) fn signal<'a>(
    error: Option<&CallError>,
    answer: &Answer,
    method: &'a PathAndQuery,
    timing: Timing,
) -> Signal<'a> {
    let answered = Signal::Answered { method, limit: timing.limit };
    let status = match error {
        None => return answered,
        Some(CallError::NotSent(NotSent { obstacle: Obstacle::Refused, .. })) => {
            return Signal::PushedBack { wait: None };
        }
        Some(CallError::NotSent(_)) => return Signal::None,
        Some(CallError::Status(status)) => status,
    };
    match status.code() {
        _ if matches!(answer, Answer::PushedBack { .. }) => pushed_back(status).unwrap_or(answered),
        Code::DeadlineExceeded if timing.is_cut_short => Signal::None,
        Code::DeadlineExceeded => Signal::Unanswered,
        // The connection broke, or what stands between could not reach the participant.
        Code::Unavailable | Code::Cancelled => Signal::None,
        _ => answered,
    }
}

/// `None` where it is a quota that is used up: that is somebody's own, and says nothing of the participant.
fn pushed_back(status: &Status) -> Option<Signal<'static>> {
    let of_all = status.get_details_quota_failure().is_none();
    of_all.then(|| Signal::PushedBack { wait: facade::wire::retry_delay(status) })
}
