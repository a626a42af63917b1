//! The one place where Sagamesh reads time and waits for it.
//!
//! Everything else is handed a [`Clock`]. The system clock reads the wall clock once and then follows the
//! monotonic one, so a saga's back-off never jumps with an adjusted wall clock; a [`Clock::manual`] clock stands
//! still until a test moves it.

pub mod duration;

mod manual;
mod system;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

pub use manual::ManualTime;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant `duration` after this one; stays at the largest instant instead of overflowing.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis().try_into().unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The limit of [`Clock::timeout`] passed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the time limit passed")
    }
}

impl std::error::Error for Elapsed {}

/// A cheap handle on a source of time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(system::System),
    Manual(Arc<manual::Manual>),
}

impl Clock {
    /// Time as the machine has it.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(system::System::start()))
    }

    /// A clock that stands still at `start`, and what moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ManualTime) {
        let manual = Arc::new(manual::Manual::at(start));
        (Self(Source::Manual(Arc::clone(&manual))), ManualTime::of(manual))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(system) => system.now(),
            Source::Manual(manual) => manual.now(),
        }
    }

    /// Begins to measure a span of time, finer than the milliseconds of [`Clock::now`] where the machine is.
    #[must_use]
    pub fn timer(&self) -> Timer {
        Timer(match &self.0 {
            Source::System(_) => Start::System(system::now()),
            Source::Manual(manual) => Start::Manual(Arc::clone(manual), manual.now()),
        })
    }

    /// Waits until `instant`; returns at once when it has passed.
    pub async fn sleep_until(&self, instant: Timestamp) {
        match &self.0 {
            Source::System(system) => system.sleep_until(instant).await,
            Source::Manual(manual) => manual.sleep_until(instant).await,
        }
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// Runs `work` for at most `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the limit passes first; `work` is dropped then.
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        work: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> {
        Timeout { work, limit: self.sleep(limit) }
    }
}

/// How long ago something began.
#[derive(Clone, Debug)]
pub struct Timer(Start);

#[derive(Clone, Debug)]
enum Start {
    System(tokio::time::Instant),
    Manual(Arc<manual::Manual>, Timestamp),
}

impl Timer {
    /// The time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.0 {
            Start::System(instant) => system::since(*instant),
            Start::Manual(manual, began) => manual.now().since(*began),
        }
    }
}

/// Milliseconds with three decimals, for a log or a person.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    // Microseconds of a century fit a double exactly.
    (duration.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// Whole microseconds, for a log.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

pin_project! {
    // An `async fn` would hold the work twice: as its argument, and where it awaits it.
    struct Timeout<W, L> {
        #[pin]
        work: W,
        #[pin]
        limit: L,
    }
}

impl<W: Future, L: Future<Output = ()>> Future for Timeout<W, L> {
    type Output = Result<W::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.work.poll(context) {
            return Poll::Ready(Ok(output));
        }
        this.limit.poll(context).map(|()| Err(Elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_of_a_clock_that_stands_still_stands_still_too() {
        let (clock, time) = Clock::manual(Timestamp(5));
        let timer = clock.timer();
        assert_eq!(timer.elapsed(), Duration::ZERO);
        time.advance(Duration::from_millis(7));
        assert_eq!(timer.elapsed(), Duration::from_millis(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_of_the_machine_counts_less_than_milliseconds() {
        let timer = Clock::system().timer();
        tokio::time::advance(Duration::from_micros(1_234)).await;
        assert_eq!(timer.elapsed(), Duration::from_micros(1_234));
        assert_eq!(millis(timer.elapsed()).to_string(), "1.234");
        assert_eq!(millis(Duration::from_nanos(1_499)).to_string(), "0.001");
    }
}
