//! How many calls a second begin: a token bucket.

use std::num::NonZero;

use clock::Timestamp;

/// What a call takes of the bucket.
const CALL: u64 = 1_000;

/// Fills by as many thousandths of a call each millisecond as calls are allowed a second.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u64,
    thousandths: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// Full.
    pub(super) fn new(per_second: NonZero<u32>, now: Timestamp) -> Self {
        let per_second = u64::from(per_second.get());
        Self { per_second, thousandths: capacity(per_second), filled_at: now }
    }

    /// When the next call may begin: now, or later.
    pub(super) fn next(&mut self, now: Timestamp) -> Timestamp {
        let millis = now.0.saturating_sub(self.filled_at.0);
        self.filled_at = now;
        let filled = self.thousandths.saturating_add(millis.saturating_mul(self.per_second));
        self.thousandths = filled.min(capacity(self.per_second));
        let missing = CALL.saturating_sub(self.thousandths);
        Timestamp(now.0.saturating_add(missing.div_ceil(self.per_second)))
    }

    /// A call begins.
    pub(super) fn take(&mut self) {
        self.thousandths = self.thousandths.saturating_sub(CALL);
    }
}

/// What may begin at once after a silence: a tenth of a second's calls, so that no second has many more than it may.
fn capacity(per_second: u64) -> u64 {
    (per_second * CALL / 10).max(CALL)
}
