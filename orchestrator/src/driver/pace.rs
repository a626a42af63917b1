//! How long this node keeps its sagas waiting at the moment.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::Clock;

/// Over how long waits are averaged, in milliseconds.
const WINDOW_MS: u64 = 50;
/// How many windows ago something still tells how it is now: where the line is long, windows pass with no answer.
const RECENT: u64 = 10;

/// Measures how long appends to the journal wait to be answered. Whatever a saga does goes through there, and its answer
/// waits for the event loop: so this is how long the line is, whatever the participants take.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Clock,
    windows: Mutex<Windows>,
}

/// The last two windows of time in which something was measured.
#[derive(Debug, Default)]
struct Windows {
    last: Window,
    before: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    number: u64,
    sum: Duration,
    count: u32,
}

impl Window {
    /// The mean, where it is from not long before the window of this number.
    fn recent(self, number: u64) -> Option<Duration> {
        let is_recent = number.saturating_sub(self.number) <= RECENT;
        self.sum.checked_div(self.count).filter(|_| is_recent)
    }
}

impl Pace {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    /// An append was answered after so long.
    pub(crate) fn waited(&self, waited: Duration) {
        let (number, mut windows) = (self.number(), self.windows());
        if windows.last.number != number {
            windows.before = windows.last;
            windows.last = Window { number, ..Window::default() };
        }
        windows.last.sum += waited;
        windows.last.count += 1;
    }

    /// How long an append waits. Of two windows the shorter: one slow commit is no line.
    pub(crate) fn wait(&self) -> Duration {
        let (number, windows) = (self.number(), self.windows());
        match (windows.last.recent(number), windows.before.recent(number)) {
            (Some(last), Some(before)) => last.min(before),
            _ => Duration::ZERO,
        }
    }

    fn number(&self) -> u64 {
        self.clock.now().0 / WINDOW_MS
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use clock::Timestamp;

    use super::*;

    #[test]
    fn only_what_has_been_slow_for_two_windows_is_a_line() {
        let (clock, time) = Clock::manual(Timestamp(1_000));
        let pace = Pace::new(clock);
        let ms = Duration::from_millis;
        let steps = [
            // After so long, an append that took so long; how long the next is expected to take.
            (0, 10, 0),
            (50, 300, 10),
            (0, 100, 10),
            (50, 40, 40),
            (49, 60, 50),
            (1, 80, 50),
            // Nothing was answered in the window between.
            (100, 80, 80),
            (600, 80, 0),
        ];
        for (passed, waited, expected) in steps {
            time.advance(ms(passed));
            pace.waited(ms(waited));
            assert_eq!(pace.wait(), ms(expected), "after {waited} ms");
        }
    }
}
