//! When an attempt is made again, and when no further one is.

use std::time::Duration;

use crate::{
    answer::Answer,
    event::TimeRules,
    retry::{Attempts, Jitter, Retry},
    state::DirectionState,
    timestamp::Timestamp,
};

/// At least a millisecond: an attempt that is due at once would not show that it is waiting.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// At which back-off push-backs begin: a participant that has too much to do is left alone for longer than one that did not
/// answer.
const PUSH_BACK_START: u32 = 3;

/// A call that is not sent is not left alone for longer than this, or than a quarter of the time since its first attempt: so
/// a participant that was away is found at work again not much later than it is.
const NOT_SENT_LONGEST: Duration = Duration::from_secs(1);

/// What one direction of a step may use up.
pub(crate) struct Budget<'a> {
    pub(crate) policy: &'a Retry,
    /// When the last attempt may begin at the latest, whatever the policy says.
    pub(crate) until: Option<Timestamp>,
    pub(crate) rules: TimeRules,
}

impl Budget<'_> {
    /// Puts down when the attempt that came to `answer` is made again. Whether it is not, because the budget is spent.
    pub(crate) fn spend(
        &self,
        attempt: &mut DirectionState,
        answer: &Answer,
        jitter: Jitter,
        at: Timestamp,
    ) -> (Timestamp, bool) {
        let is_deferred = matches!(answer, Answer::NotSent(_) | Answer::PushedBack { .. });
        match is_deferred {
            true => attempt.deferred = attempt.deferred.saturating_add(1),
            false => {
                attempt.deferred = 0;
                attempt.counted = attempt.counted.saturating_add(1);
            }
        }
        let due = at.after(self.wait(attempt, answer, jitter, at).max(MIN_WAIT));
        // Not past the end of the budget: a participant may ask to be left alone for a year.
        let last = self.last(attempt);
        let spent = last.is_some_and(|last| at >= last) || self.has_no_attempt_left(attempt);
        (last.map_or(due, |last| due.min(last)), spent)
    }

    fn wait(
        &self,
        attempt: &DirectionState,
        answer: &Answer,
        jitter: Jitter,
        at: Timestamp,
    ) -> Duration {
        match answer {
            Answer::PushedBack { wait, .. } if self.rules == TimeRules::V1 => *wait,
            Answer::PushedBack { wait, .. } => {
                let deferred = attempt.deferred.saturating_add(PUSH_BACK_START);
                self.policy.backoff(deferred, jitter).max(*wait)
            }
            Answer::NotSent(_) => {
                let longest = NOT_SENT_LONGEST.max(at.since(attempt.first_at) / 4);
                self.policy.backoff_within(longest, attempt.deferred, jitter)
            }
            _ => self.policy.backoff(attempt.counted, jitter),
        }
    }

    /// When the last attempt begins.
    fn last(&self, attempt: &DirectionState) -> Option<Timestamp> {
        let by_age = self.policy.age_limit.map(|limit| attempt.first_at.after(limit));
        [by_age, self.until].into_iter().flatten().min()
    }

    fn has_no_attempt_left(&self, attempt: &DirectionState) -> bool {
        match self.policy.attempts {
            Attempts::Limited(limit) => attempt.counted >= limit.get(),
            Attempts::Unlimited => false,
        }
    }
}
