//! How many calls a participant is sent at once: additive increase, multiplicative decrease (Chiu and Jain, "Analysis of
//! the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks", 1989).
//!
//! As TCP does it (RFC 5681), with calls for segments: one more for each window of calls that went well, and half of those
//! that are under way, once a round, when the participant is overloaded. What was sent before the last decrease says
//! nothing about the limit since. A limit that is not used does not grow (RFC 7661).

/// The limit of calls under way.
#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    limit: usize,
    /// How many calls went well since the limit grew last.
    well: usize,
    /// The first call of this round: those before it were sent under another limit.
    round: u64,
}

impl Window {
    /// As many as are allowed.
    pub(super) fn new(max: usize) -> Self {
        Self { max, limit: max, well: 0, round: 0 }
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
        if self.well >= self.limit {
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
        self.well = 0;
        self.round = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_of_push_backs_halves_once_what_was_under_way() {
        let mut window = Window::new(64);
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
        let mut window = Window::new(8);
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
        let mut window = Window::new(64);
        window.overloaded(0, 64, 1);
        for _ in 0..1_000 {
            window.went_well(15);
        }
        assert_eq!(window.limit(), 32);
    }
}
