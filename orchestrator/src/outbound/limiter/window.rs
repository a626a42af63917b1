//! How many calls a participant is sent at once: additive increase, multiplicative decrease (Chiu and Jain, "Analysis of
//! the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989).
//!
//! As TCP does it (RFC 5681), with calls for segments. A participant is sent few calls at first, and one more for each that
//! goes well, so that what it has taken before it slows is answered in time. Once it has been overloaded, there is one more
//! for each window of calls that went well. When it is overloaded, half of those that are under way are left, once a round:
//! what was sent before the last decrease says nothing about the limit since. A limit that is not used does not grow
//! (RFC 7661).

/// How many calls a participant is sent at first: as many as TCP's segments (RFC 6928).
const FIRST: usize = 10;

/// The limit of calls under way.
#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    limit: usize,
    /// Below it the limit grows with each call that goes well.
    threshold: usize,
    /// How many calls went well since the limit grew last.
    well: usize,
    /// The first call of this round: those before it were sent under another limit.
    round: u64,
}

impl Window {
    /// Nothing is known of the participant but what is set.
    pub(super) fn new(max: usize) -> Self {
        Self { max, limit: max.min(FIRST), threshold: max, well: 0, round: 0 }
    }

    /// How many calls there may be at once: from 1 to what is set.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// What is set.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// A call went well while so many were under way.
    pub(super) fn went_well(&mut self, in_flight: usize) {
        if self.limit == self.max || in_flight.saturating_mul(2) < self.limit {
            return;
        }
        self.well += 1;
        if self.limit < self.threshold || self.well >= self.limit {
            self.well = 0;
            self.limit += 1;
        }
    }

    /// The call of this number found the participant overloaded while so many were under way; the next call will have the
    /// number `next`.
    pub(super) fn overloaded(&mut self, number: u64, in_flight: usize, next: u64) {
        if number < self.round {
            return;
        }
        self.limit = (self.limit.min(in_flight) / 2).max(1);
        self.threshold = self.limit;
        self.well = 0;
        self.round = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose participant has taken all that is allowed.
    fn open(max: usize) -> Window {
        Window { limit: max, ..Window::new(max) }
    }

    #[test]
    fn a_participant_is_sent_few_calls_at_first_and_twice_as_many_a_round_until_it_is_overloaded() {
        let mut window = Window::new(64);
        let mut limits = vec![window.limit()];
        for _ in 0..4 {
            for _ in 0..window.limit() {
                window.went_well(window.limit());
            }
            limits.push(window.limit());
        }
        assert_eq!(limits, [10, 20, 40, 64, 64]);
        assert_eq!(Window::new(3).limit(), 3);
    }

    #[test]
    fn a_round_of_push_backs_halves_once_what_was_under_way() {
        let mut window = open(64);
        for number in 0..40 {
            window.overloaded(number, 40, 40);
        }
        assert_eq!(window.limit(), 20);
        window.overloaded(40, 20, 60);
        assert_eq!(window.limit(), 10);
        for round in 1..20 {
            window.overloaded(1_000 * round, 1, 1_000 * round + 1);
        }
        assert_eq!(window.limit(), 1, "and never to nothing");
    }

    #[test]
    fn each_window_of_calls_that_went_well_adds_one_until_what_is_set() {
        let mut window = open(8);
        window.overloaded(0, 8, 1);
        let mut limits = Vec::new();
        for _ in 0..30 {
            window.went_well(window.limit());
            limits.push(window.limit());
        }
        let expected: Vec<usize> =
            [vec![4; 3], vec![5; 5], vec![6; 6], vec![7; 7], vec![8; 9]].concat();
        assert_eq!(limits, expected);
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_grow() {
        let mut window = open(64);
        window.overloaded(0, 64, 1);
        for _ in 0..1_000 {
            window.went_well(15);
        }
        assert_eq!(window.limit(), 32);
    }
}
