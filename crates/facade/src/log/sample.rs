//! Lines that may be too many: so many a second are written, the others are counted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use clock::Timestamp;

/// How long a window is.
const WINDOW: Duration = Duration::from_secs(1);
/// Kinds that are told apart. Reasons are registered, so there are fewer; beyond them all are of one kind.
const KINDS: usize = 100;

/// Lines of one kind.
#[derive(Debug)]
pub(crate) struct Sample {
    per_second: u32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    /// `None` before the first.
    began: Option<Timestamp>,
    lines: u32,
    /// Since the last line.
    untold: u64,
}

impl Window {
    fn count(&mut self, now: Timestamp, per_second: u32) -> Option<u64> {
        self.untold += 1;
        if self.began.is_none_or(|began| now.since(began) >= WINDOW) {
            (self.began, self.lines) = (Some(now), 0);
        }
        if self.lines >= per_second {
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

impl Sample {
    pub(crate) fn of(per_second: u32) -> Self {
        Self { per_second, window: Mutex::default() }
    }

    /// Counts one. Where it is to have a line: for how many that line stands, which are those since the last one.
    pub(crate) fn count(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.count(now, self.per_second)
    }
}

/// Lines of several kinds, each with a window of its own.
#[derive(Debug)]
pub(crate) struct Samples {
    per_second: u32,
    windows: Mutex<HashMap<String, Window>>,
}

impl Samples {
    pub(crate) fn of(per_second: u32) -> Self {
        Self { per_second, windows: Mutex::default() }
    }

    /// As [`Sample::count`], among those of its kind.
    pub(crate) fn count(&self, kind: &str, now: Timestamp) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if windows.len() < KINDS || windows.contains_key(kind) { kind } else { "" };
        if let Some(window) = windows.get_mut(kind) {
            return window.count(now, self.per_second);
        }
        windows.entry(kind.to_owned()).or_default().count(now, self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_have_a_line_and_the_next_line_counts_the_others() {
        let sample = Sample::of(2);
        let counts: Vec<_> = [5, 5, 5, 1_004, 1_005, 1_006, 1_006, 9_000]
            .into_iter()
            .map(|at| sample.count(Timestamp(at)))
            .collect();
        let line = Some;
        assert_eq!(counts, [line(1), line(1), None, None, line(3), line(1), None, line(2)]);
    }

    #[test]
    fn a_kind_that_is_frequent_takes_no_lines_from_another() {
        let samples = Samples::of(1);
        assert_eq!(samples.count("LOUD", Timestamp(1)), Some(1));
        assert_eq!(samples.count("LOUD", Timestamp(1)), None);
        assert_eq!(samples.count("RARE", Timestamp(1)), Some(1));
        assert_eq!(samples.count("LOUD", Timestamp(1_001)), Some(2));
    }

    #[test]
    fn kinds_beyond_those_that_are_told_apart_are_counted_together() {
        let samples = Samples::of(1);
        let lines =
            (0..3 * KINDS).filter_map(|kind| samples.count(&kind.to_string(), Timestamp(1)));
        assert_eq!(lines.count(), KINDS + 1);
        assert!(samples.windows.lock().unwrap().len() <= KINDS + 1);
    }
}
