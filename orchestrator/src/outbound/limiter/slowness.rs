//! Whether a participant answers more slowly than it can.

use std::{collections::HashMap, time::Duration};

use clock::Timestamp;
use http::uri::PathAndQuery;

/// Over how long the fastest answer is looked for, in milliseconds: what was fast long ago may not be any more.
const WINDOW_MS: u64 = 10_000;

/// The fastest answers of late, by method.
#[derive(Debug, Default)]
pub(super) struct Fastest {
    methods: HashMap<PathAndQuery, Windows>,
}

/// The fastest answer in the last two windows of time in which there was one.
#[derive(Clone, Copy, Debug)]
struct Windows {
    number: u64,
    last: Duration,
    before: Duration,
}

impl Fastest {
    /// Whether an answer that took so long is slow: more than half of the time that it had, and more than twice as long as
    /// the fastest. A method that always takes most of its time would not be any faster if there were fewer calls.
    pub(super) fn is_slow(
        &mut self,
        method: &PathAndQuery,
        took: Duration,
        limit: Duration,
        now: Timestamp,
    ) -> bool {
        let number = now.0 / WINDOW_MS;
        let Some(windows) = self.methods.get_mut(method) else {
            let first = Windows { number, last: took, before: took };
            self.methods.insert(method.clone(), first);
            return false;
        };
        if windows.number != number {
            *windows = Windows { number, last: took, before: windows.last };
        }
        windows.last = windows.last.min(took);
        took > limit / 2 && took > windows.last.min(windows.before) * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> PathAndQuery {
        PathAndQuery::from_static("/work.v1.Work/Do")
    }

    #[test]
    fn an_answer_is_slow_that_takes_half_of_its_time_and_was_twice_as_fast_before() {
        let (mut fastest, ms) = (Fastest::default(), Duration::from_millis);
        let mut is_slow =
            |took, limit| fastest.is_slow(&method(), ms(took), ms(limit), Timestamp(0));
        assert!(!is_slow(200, 5_000));
        assert!(!is_slow(2_500, 5_000));
        assert!(is_slow(2_501, 5_000));
        assert!(!is_slow(400, 700));
        assert!(is_slow(401, 700));
    }

    #[test]
    fn a_method_that_always_takes_most_of_its_time_is_not_slow_nor_one_that_has_become_so() {
        let mut fastest = Fastest::default();
        let second = Duration::from_secs(1);
        let mut is_slow =
            |took, at| fastest.is_slow(&method(), second * took, second * 5, Timestamp(at));
        assert!(!is_slow(1, 0));
        let later: Vec<bool> = (0..4).map(|window| is_slow(4, window * WINDOW_MS)).collect();
        assert_eq!(later, [true, true, false, false]);
    }
}
