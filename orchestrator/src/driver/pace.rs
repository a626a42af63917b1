//! How long this node keeps its sagas waiting at the moment.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use clock::{Clock, Timestamp};

/// Over how long waits are averaged.
const WINDOW: Duration = Duration::from_millis(50);

/// Measures how long appends to the journal wait to be answered. Whatever a saga does goes through there, and its answer
/// waits for the event loop: so this is how long the line is, whatever the participants take.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Clock,
    windows: Mutex<Windows>,
}

/// What was measured in this window of time and in the one before.
#[derive(Debug, Default)]
struct Windows {
    number: u64,
    this: Mean,
    before: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: Duration,
    count: u32,
}

impl Mean {
    fn get(self) -> Duration {
        self.sum.checked_div(self.count).unwrap_or_default()
    }
}

impl Windows {
    fn go_on(&mut self, Timestamp(now): Timestamp) {
        let number = u128::from(now) / WINDOW.as_millis();
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        if number == self.number {
            return;
        }
        let follows = number == self.number.wrapping_add(1);
        self.before = if follows { self.this } else { Mean::default() };
        self.this = Mean::default();
        self.number = number;
    }
}

impl Pace {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    /// An append was answered after so long.
    pub(crate) fn waited(&self, waited: Duration) {
        self.with_windows(|windows| {
            windows.this.sum += waited;
            windows.this.count += 1;
        });
    }

    /// How long an append waits. Of two windows the shorter: one slow commit is no line.
    pub(crate) fn wait(&self) -> Duration {
        self.with_windows(|windows| windows.this.get().min(windows.before.get()))
    }

    fn with_windows<T>(&self, look: impl FnOnce(&mut Windows) -> T) -> T {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.go_on(self.clock.now());
        look(&mut windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_slow_for_two_windows_is_a_line() {
        let (clock, hands) = Clock::manual(Timestamp(1_000));
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
            (100, 80, 0),
        ];
        for (passed, waited, expected) in steps {
            hands.advance(ms(passed));
            pace.waited(ms(waited));
            assert_eq!(pace.wait(), ms(expected), "after {waited} ms");
        }
    }
}
