//! The machine's time: one reading of the wall clock, then the monotonic clock.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the one module that reads the machine's time"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::Timestamp;

#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    /// Since the Unix epoch.
    wall_at_start: Duration,
    started: Instant,
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn since(instant: Instant) -> Duration {
    instant.elapsed()
}

impl System {
    pub(crate) fn start() -> Self {
        // A machine whose clock stands before 1970 counts from the epoch: order still holds within a run.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { wall_at_start: since_epoch, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(0).after(self.since_epoch())
    }

    pub(crate) fn since_epoch(&self) -> Duration {
        self.wall_at_start.saturating_add(self.started.elapsed())
    }

    pub(crate) async fn sleep_until(&self, instant: Timestamp) {
        // A timer may fire within the millisecond before `instant`; the caller must see that it has passed.
        while self.now() < instant {
            tokio::time::sleep(instant.since(self.now())).await;
        }
    }
}
