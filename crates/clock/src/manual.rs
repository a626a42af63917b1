//! A clock for tests: it stands still until a test moves it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::Timestamp;

#[derive(Debug)]
pub(crate) struct Manual {
    now: watch::Sender<Timestamp>,
    /// The instants that somebody waits for, so that a test can go straight to the next one.
    awaited: Mutex<Vec<Timestamp>>,
    arrivals: watch::Sender<u64>,
}

impl Manual {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self {
            now: watch::Sender::new(start),
            awaited: Mutex::new(Vec::new()),
            arrivals: watch::Sender::new(0),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    pub(crate) async fn sleep_until(&self, instant: Timestamp) {
        let _sleeper = Sleeper::register(self, instant);
        let mut now = self.now.subscribe();
        // The sender lives in `self`, so the channel cannot close while this borrows it.
        let _ = now.wait_for(|now| *now >= instant).await;
    }

    fn with_awaited<T>(&self, change: impl FnOnce(&mut Vec<Timestamp>) -> T) -> T {
        change(&mut self.awaited.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Sleeper<'a> {
    manual: &'a Manual,
    instant: Timestamp,
}

impl<'a> Sleeper<'a> {
    fn register(manual: &'a Manual, instant: Timestamp) -> Self {
        manual.with_awaited(|awaited| awaited.push(instant));
        manual.arrivals.send_modify(|count| *count += 1);
        Self { manual, instant }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.manual.with_awaited(|awaited| {
            if let Some(index) = awaited.iter().position(|instant| *instant == self.instant) {
                awaited.swap_remove(index);
            }
        });
    }
}

/// Moves a manual clock.
#[derive(Clone, Debug)]
pub struct ManualTime {
    manual: Arc<Manual>,
}

impl ManualTime {
    pub(crate) fn of(manual: Arc<Manual>) -> Self {
        Self { manual }
    }

    /// Moves time on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.manual.now.send_modify(|now| *now = now.after(duration));
    }

    /// How many are waiting for an instant that has not come.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let now = self.manual.now();
        self.manual.with_awaited(|awaited| awaited.iter().filter(|instant| **instant > now).count())
    }

    /// Waits until somebody sleeps, then moves time to the earliest instant that is waited for.
    pub async fn advance_to_next(&self) {
        let mut arrivals = self.manual.arrivals.subscribe();
        loop {
            let now = self.manual.now();
            let next = self.manual.with_awaited(|awaited| {
                awaited.iter().copied().filter(|instant| *instant > now).min()
            });
            if let Some(next) = next {
                self.manual.now.send_modify(|now| *now = (*now).max(next));
                return;
            }
            // The sender lives in `self.manual`, so the channel cannot close.
            let _ = arrivals.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Clock, Elapsed, Timestamp};

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_time_reaches_its_instant() {
        let (clock, time) = Clock::manual(Timestamp(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_mins(10)).await;
                clock.now()
            }
        });
        time.advance_to_next().await;
        assert_eq!(sleeper.await.unwrap(), Timestamp(601_000));
        assert_eq!(time.waiting(), 0);
    }

    #[tokio::test]
    async fn work_that_outlasts_its_limit_is_dropped() {
        let (clock, time) = Clock::manual(Timestamp(0));
        let limited = clock.timeout(Duration::from_secs(5), std::future::pending::<()>());
        let (outcome, ()) = tokio::join!(limited, time.advance_to_next());
        assert_eq!(outcome, Err(Elapsed));
    }
}
