//! How often, how far apart and for how long a call is tried again. The only retry layer of the system.

use std::{num::NonZeroU32, time::Duration};

/// How many attempts a budget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// This many, the first one included.
    Limited(NonZeroU32),
    /// Only [`Retry::age_limit`], and before the pivot the saga's deadline, end it.
    Unlimited,
}

/// Where in its range a back-off falls: 0 the shortest, `u16::MAX` the longest. Drawn outside and journaled with the
/// answer, so that a replay waits until the same instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter(pub u16);

/// The retry policy of a call or of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts may end with an unknown outcome. Those that were not sent, or pushed back, do not count.
    pub attempts: Attempts,
    /// The longest wait after the first attempt; doubles with each one. At least a millisecond.
    pub base: Duration,
    /// No wait is longer than this, except one that the participant asked for. Not below `base`.
    pub cap: Duration,
    /// How long after its first attempt a call that is not answered, or not sent, counts as hopeless; `None`: never.
    pub age_limit: Option<Duration>,
}

/// What is wrong with a [`Retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryFault {
    /// Attempts would follow each other without a pause.
    #[error("base must be at least 1ms")]
    BaseTooShort,
    /// The cap could never be reached.
    #[error("base must not be above cap")]
    BaseAboveCap,
    /// The budget would be spent before the first answer.
    #[error("the age limit must be at least 1ms")]
    AgeLimitTooShort,
}

const SHORTEST: Duration = Duration::from_millis(1);

impl Retry {
    /// For a call: as many attempts as it takes, 100 ms to 10 s apart, for an hour at most. Before the pivot the saga's deadline
    /// ends them.
    #[must_use]
    pub fn call_default() -> Self {
        Self {
            attempts: Attempts::Unlimited,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            age_limit: Some(Duration::from_secs(3600)),
        }
    }

    /// For an undo: as many attempts as it takes, 100 ms to 30 s apart, for an hour at most.
    #[must_use]
    pub fn undo_default() -> Self {
        Self {
            attempts: Attempts::Unlimited,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(30),
            age_limit: Some(Duration::from_secs(3600)),
        }
    }

    /// The wait after `attempt` (from 1): between half and the whole of `min(cap, base * 2^(attempt - 1))`.
    #[must_use]
    pub fn backoff(&self, attempt: u32, jitter: Jitter) -> Duration {
        self.backoff_within(Duration::MAX, attempt, jitter)
    }

    /// As [`Self::backoff`], and no longer than `longest`.
    pub(crate) fn backoff_within(
        &self,
        longest: Duration,
        attempt: u32,
        jitter: Jitter,
    ) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap).min(longest);
        let half = ceiling / 2;
        // Computed in whole nanoseconds: it cannot overflow, and every machine replays to the same instant.
        half + Duration::from_nanos_u128(
            half.as_nanos() * u128::from(jitter.0) / u128::from(u16::MAX),
        )
    }

    /// What keeps this policy from being usable.
    #[must_use]
    pub fn fault(&self) -> Option<RetryFault> {
        if self.base < SHORTEST {
            Some(RetryFault::BaseTooShort)
        } else if self.base > self.cap {
            Some(RetryFault::BaseAboveCap)
        } else if self.age_limit.is_some_and(|age| age < SHORTEST) {
            Some(RetryFault::AgeLimitTooShort)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap_and_keeps_at_least_half() {
        let retry = Retry::call_default();
        for (attempt, ceiling_ms) in [(1, 100), (2, 200), (4, 800), (8, 10_000), (u32::MAX, 10_000)]
        {
            let ceiling = Duration::from_millis(ceiling_ms);
            assert_eq!(retry.backoff(attempt, Jitter(0)), ceiling / 2, "attempt {attempt}");
            assert_eq!(retry.backoff(attempt, Jitter(u16::MAX)), ceiling, "attempt {attempt}");
            let between = retry.backoff(attempt, Jitter(u16::MAX / 2));
            assert!(ceiling / 2 < between && between < ceiling, "attempt {attempt}: {between:?}");
        }
    }

    #[test]
    fn backoff_does_not_overflow() {
        let retry = Retry { base: Duration::MAX, cap: Duration::MAX, ..Retry::call_default() };
        assert!(retry.backoff(40, Jitter(u16::MAX)) <= Duration::MAX);
    }

    #[test]
    fn a_policy_that_could_not_work_is_refused() {
        let good = Retry::call_default();
        assert_eq!(good.fault(), None);
        assert_eq!(Retry::undo_default().fault(), None);
        let spin = Retry { base: Duration::from_micros(999), ..good.clone() };
        assert_eq!(spin.fault(), Some(RetryFault::BaseTooShort));
        let upside_down = Retry { base: Duration::from_secs(11), ..good.clone() };
        assert_eq!(upside_down.fault(), Some(RetryFault::BaseAboveCap));
        let stillborn = Retry { age_limit: Some(Duration::ZERO), ..good };
        assert_eq!(stillborn.fault(), Some(RetryFault::AgeLimitTooShort));
    }
}
