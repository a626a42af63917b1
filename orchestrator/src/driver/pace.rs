//! How long this node keeps its sagas waiting at the moment.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::{Clock, Timer};

/// Over how long waits are averaged, in milliseconds.
const WINDOW_MS: u64 = 50;
/// How many windows ago something still tells how it is now: where the line is long, windows pass with no answer.
const RECENT: u64 = 10;
/// From how many appends on that wait at the same time it is certain that they are a line: one commit takes fewer.
const CLEAR_LINE: usize = 256;

/// Measures how long appends to the journal wait to be answered. Whatever a saga does goes through there, and its answer
/// waits for the event loop: so this is how long the line is, whatever the participants take.
#[derive(Debug)]
pub(crate) struct Pace {
    clock: Clock,
    windows: Mutex<Windows>,
}

/// The last two windows of time in which something was measured, and how many appends wait now.
#[derive(Debug, Default)]
struct Windows {
    last: Window,
    before: Window,
    waiting: usize,
}

/// An append that waits to be answered.
#[derive(Debug)]
pub(crate) struct Append<'a> {
    pace: &'a Pace,
    timer: Timer,
}

impl Append<'_> {
    /// It was answered.
    pub(crate) fn answered(self) {
        self.pace.waited(self.timer.elapsed());
    }
}

impl Drop for Append<'_> {
    fn drop(&mut self) {
        let mut windows = self.pace.windows();
        windows.waiting = windows.waiting.saturating_sub(1);
    }
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

impl Windows {
    /// Of two windows the shorter: one slow commit is no line.
    fn measured(&self, number: u64) -> Duration {
        match (self.last.recent(number), self.before.recent(number)) {
            (Some(last), Some(before)) => last.min(before),
            _ => Duration::ZERO,
        }
    }

    /// How long those take that wait now, where they are a line.
    fn expected(&self, number: u64) -> Duration {
        let recent = [self.last, self.before].into_iter().filter(|w| w.recent(number).is_some());
        let answered = recent.map(|window| window.count).max();
        match (self.waiting, answered) {
            (waiting @ CLEAR_LINE.., Some(answered)) => {
                let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
                Duration::from_millis(WINDOW_MS) * waiting / answered
            }
            _ => Duration::ZERO,
        }
    }
}

impl Pace {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, windows: Mutex::default() }
    }

    /// An append waits from now on.
    pub(crate) fn append(&self) -> Append<'_> {
        self.windows().waiting += 1;
        Append { pace: self, timer: self.clock.timer() }
    }

    /// An append was answered after so long.
    fn waited(&self, waited: Duration) {
        let (number, mut windows) = (self.number(), self.windows());
        if windows.last.number != number {
            windows.before = windows.last;
            windows.last = Window { number, ..Window::default() };
        }
        windows.last.sum += waited;
        windows.last.count += 1;
    }

    /// How long an append waits: as long as those before, or where many wait already, as these will take at the rate of
    /// late. What was measured comes too late for a crowd that arrives while nothing is answered.
    pub(crate) fn wait(&self) -> Duration {
        let (number, windows) = (self.number(), self.windows());
        windows.measured(number).max(windows.expected(number))
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

    #[test]
    fn a_crowd_waits_as_long_as_it_takes_at_the_rate_of_late_and_a_few_do_not_count() {
        let (clock, time) = Clock::manual(Timestamp(1_000));
        let pace = Pace::new(clock);
        let answer = |count| (0..count).for_each(|_| pace.append().answered());
        let mut waiting: Vec<_> = (0..300).map(|_| pace.append()).collect();
        assert_eq!(pace.wait(), Duration::ZERO, "nothing is known yet");
        answer(100);
        assert_eq!(pace.wait(), Duration::from_millis(150));
        time.advance(Duration::from_millis(50));
        answer(50);
        assert_eq!(pace.wait(), Duration::from_millis(150), "the better window counts");
        waiting.truncate(256);
        assert_eq!(pace.wait(), Duration::from_millis(128));
        waiting.truncate(255);
        assert_eq!(pace.wait(), Duration::ZERO);
    }
}
