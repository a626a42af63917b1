//! What compensations came to, as the journal counts them.
//!
//! A compensation lasts from the record that turns its saga back to the one that ends it, whatever happens between. It
//! belongs to the window in which it ends; one that has not ended, to every window that ends after it began.

use std::{collections::BTreeMap, time::Duration};

use clock::Timestamp;

/// The lengths of the spans that compensations are counted by, in milliseconds, each a multiple of the one before.
pub(super) const SPANS: [u64; 5] = [1, 1_000, 60_000, 3_600_000, 86_400_000];

/// A part of time: `from` and after it, before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant behind it.
    pub to: Timestamp,
}

impl Window {
    /// What ends at `now`, that instant included.
    #[must_use]
    pub fn until(now: Timestamp, length: Duration) -> Self {
        let ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self { from: Timestamp(now.0.saturating_sub(ms)), to: now.after(Duration::from_millis(1)) }
    }

    /// Windows that come to this one together, none within another, each of whole spans: as few spans as there can be.
    pub(super) fn by_spans(self) -> Vec<(u64, Self)> {
        let mut parts = Vec::new();
        let (mut from, mut to) = (self.from.0, self.to.0);
        let mut add = |span, from, to| {
            if from < to {
                parts.push((span, Self { from: Timestamp(from), to: Timestamp(to) }));
            }
        };
        for pair in SPANS.windows(2) {
            let &[span, longer] = pair else { continue };
            let (first, last) = (from.next_multiple_of(longer), to / longer * longer);
            if first >= last {
                add(span, from, to);
                return parts;
            }
            add(span, from, first);
            add(span, last, to);
            (from, to) = (first, last);
        }
        add(SPANS[SPANS.len() - 1], from, to);
        parts
    }
}

/// How long a compensation took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slowest {
    /// How long.
    pub lasted: Duration,
    /// Its saga, which may have been removed since.
    pub saga_id: String,
}

/// A compensation that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// When it began.
    pub began_at: Timestamp,
    /// Its saga.
    pub saga_id: String,
}

/// What compensations came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ended by themselves, every undo carried out.
    pub succeeded: u64,
    /// Ended by a person: the saga was closed, or one of its undos was done by hand.
    pub failed: u64,
    /// Not ended, and in need of a person at the moment.
    pub manual: u64,
    /// The one of those that ended that took longest.
    pub slowest: Option<Slowest>,
    /// The one of those that have not ended that began first, whether it needs a person or not.
    pub oldest: Option<Oldest>,
}

impl Counts {
    /// All that have come to something, if only to a need for a person.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.succeeded + self.failed + self.manual
    }

    /// How many percent of them succeeded; `None` where there are none.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        // A number that an f64 does not hold is out of reach.
        #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 sagas")]
        let rate = |total| self.succeeded as f64 * 100.0 / total as f64;
        Some(self.total()).filter(|total| *total > 0).map(rate)
    }

    /// How long the longest of them took, or has taken until `now`.
    #[must_use]
    pub fn longest(&self, now: Timestamp) -> Duration {
        let ended = self.slowest.as_ref().map(|slowest| slowest.lasted);
        let running = self.oldest.as_ref().map(|oldest| now.since(oldest.began_at));
        ended.max(running).unwrap_or_default()
    }

    /// Adds what others came to.
    pub fn add(&mut self, other: Self) {
        let Self { succeeded, failed, manual, slowest, oldest } = other;
        self.succeeded += succeeded;
        self.failed += failed;
        self.manual += manual;
        if let Some(other) = slowest
            && self.slowest.as_ref().is_none_or(|slowest| slowest.lasted < other.lasted)
        {
            self.slowest = Some(other);
        }
        if let Some(other) = oldest
            && self.oldest.as_ref().is_none_or(|oldest| other.began_at < oldest.began_at)
        {
            self.oldest = Some(other);
        }
    }
}

/// What compensations came to, by definition. A definition without any is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compensations(pub BTreeMap<String, Counts>);

impl Compensations {
    pub(super) fn of(&mut self, definition: &str) -> &mut Counts {
        if !self.0.contains_key(definition) {
            self.0.insert(definition.to_owned(), Counts::default());
        }
        self.0.entry(definition.to_owned()).or_default()
    }

    /// Those of all definitions together.
    #[must_use]
    pub fn sum(self) -> Counts {
        let mut sum = Counts::default();
        self.0.into_values().for_each(|counts| sum.add(counts));
        sum
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_is_cut_into_whole_spans_that_come_to_it_and_are_few(
            from in 0_u64..3_000_000_000,
            length in prop_oneof![0_u64..3, 0..5_000_u64, 0..400_000_u64, 0..10_000_000_000_u64],
        ) {
            let window = Window { from: Timestamp(from), to: Timestamp(from + length) };
            let mut parts = window.by_spans();
            for (span, Window { from, to }) in &parts {
                prop_assert_eq!((from.0 % span, to.0 % span), (0, 0));
                prop_assert!(from < to);
                let is_longest = *span == SPANS[SPANS.len() - 1];
                prop_assert!(is_longest || (to.0 - from.0) / span < 2_000, "{} by {span}", to.0 - from.0);
            }
            parts.sort_by_key(|(_, part)| part.from);
            let mut at = from;
            for (_, part) in parts {
                prop_assert_eq!(part.from.0, at);
                at = part.to.0;
            }
            prop_assert_eq!(at, from + length);
        }
    }

    #[test]
    fn there_is_no_rate_of_nothing_and_a_need_for_a_person_is_no_success() {
        assert_eq!(Counts::default().success_rate(), None);
        let counts = Counts { succeeded: 9, failed: 1, manual: 2, ..Counts::default() };
        assert_eq!((counts.total(), counts.success_rate()), (12, Some(75.0)));
    }
}
