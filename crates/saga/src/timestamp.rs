//! An instant, given from outside. The engine never reads a clock.

use std::time::Duration;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The first millisecond that is at least `duration` later, so that no wait ends early; stays at the largest
    /// instant instead of overflowing.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let ms = duration.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// The instant `duration` earlier; stays at the smallest instant instead of overflowing.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_never_ends_early_and_never_overflows() {
        assert_eq!(Timestamp(5).after(Duration::from_micros(1)), Timestamp(6));
        assert_eq!(Timestamp(5).after(Duration::MAX), Timestamp(u64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
