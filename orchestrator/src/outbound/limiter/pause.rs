//! A participant that asks to be left alone (RetryInfo).
//!
//! Nobody knows for whom it is meant: the participant may be overloaded, or one saga's user may have used up a quota. So a
//! call of somebody else asks, a second later and then less and less often. If that is answered, the rest of the time was
//! not meant for all: until it is over, such a push-back holds only its own saga.

use std::time::Duration;

use clock::Timestamp;

/// How long everybody leaves a participant alone before one call asks; doubled with each one that is pushed back.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LONGEST_PROBE: Duration = Duration::from_secs(30);

/// The last time that a participant asked to be left alone.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Timestamp,
    next_probe: Timestamp,
    probe_after: Duration,
    /// The first call that was sent after it was asked for.
    since: u64,
    /// It was not meant for all.
    is_refuted: bool,
}

impl Pause {
    /// When the next call may begin: now, or later.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        match self.is_refuted {
            true => now,
            false => self.until.min(self.next_probe).max(now),
        }
    }

    /// Until when the participant is left alone, where it is.
    pub(super) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        (!self.is_refuted && self.until > now).then_some(self.until)
    }

    /// A call begins: the next one waits longer.
    pub(super) fn take(&mut self, now: Timestamp) {
        if self.until(now).is_some() {
            self.probe_after = (self.probe_after * 2).min(LONGEST_PROBE);
            self.next_probe = now.after(self.probe_after);
        }
    }

    /// The call of this number is pushed back for so long; the next call will have the number `next`.
    pub(super) fn asked(&mut self, number: u64, wait: Duration, next: u64, now: Timestamp) {
        let until = now.after(wait);
        if self.until <= now {
            let next_probe = now.after(FIRST_PROBE);
            *self = Self {
                until,
                next_probe,
                probe_after: FIRST_PROBE,
                since: next,
                is_refuted: false,
            };
        } else if !self.is_refuted {
            self.until = self.until.max(until);
            // A probe; what was sent before says nothing new.
            if number >= self.since {
                self.since = next;
            }
        }
    }

    /// The call of this number was answered.
    pub(super) fn answered(&mut self, number: u64) {
        self.is_refuted |= number >= self.since;
    }
}
