//! Retention: what has been kept for long enough is removed, in small batches that leave the database's one writer to
//! the rest for most of the time.

use std::{error::Error, fmt, str::FromStr, time::Duration};

use clock::{Clock, Timestamp, duration};
use serde::{Deserialize, Serialize, Serializer};

use crate::measures::{Measured, RemovalMeasures};

/// How long the writer is left to other work after a batch, in multiples of the time that the batch took.
const PAUSE_FACTOR: u32 = 4;
const MIN_PAUSE: Duration = Duration::from_millis(5);
/// How long after one sweep the next begins.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// How long something is kept: `500ms`, `30s`, `2m`, `1h`, `30d`; a year at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Keep(Duration);

impl Keep {
    /// What is older than now has been kept for long enough.
    pub const NOTHING: Self = Self(Duration::ZERO);

    /// At `now`, what is older than this has been kept for long enough.
    #[must_use]
    pub fn horizon(self, now: Timestamp) -> Timestamp {
        let kept = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        Timestamp(now.0.saturating_sub(kept))
    }

    /// The instant until which something is kept that was written at `instant`.
    #[must_use]
    pub fn until(self, instant: Timestamp) -> Timestamp {
        instant.after(self.0)
    }

    /// A keep that is longer by `longer`.
    #[must_use]
    pub fn and(self, longer: Duration) -> Self {
        Self(self.0.saturating_add(longer))
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self).map_err(|what| format!("{what}: {}", duration::CURE))
    }
}

/// As it is read again.
impl fmt::Display for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&duration::text(self.0))
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// How long answers are kept under their keys: as [`Keep`], a day at least. A shorter time would let a repeat take effect
/// again that its caller sends the next morning. Seven days where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeepAnswers(Keep);

impl KeepAnswers {
    const MIN_KEEP: Duration = Duration::from_secs(24 * 60 * 60);

    /// As a [`Keep`].
    #[must_use]
    pub fn keep(self) -> Keep {
        self.0
    }
}

impl Default for KeepAnswers {
    fn default() -> Self {
        Self(Keep(7 * Self::MIN_KEEP))
    }
}

impl FromStr for KeepAnswers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keep: Keep = text.parse()?;
        match keep.0 < Self::MIN_KEEP {
            false => Ok(Self(keep)),
            true => Err(format!(
                "{text} is too short: a repeat that comes later would take effect again; write 24h or more"
            )),
        }
    }
}

impl fmt::Display for KeepAnswers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for KeepAnswers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for KeepAnswers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What one batch came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch {
    /// How many were removed.
    pub removed: u64,
    /// Whether there may be others as old.
    pub more: bool,
}

/// Stored rows of one kind, of which the old ones can be removed.
pub trait Expiring: Send {
    /// Why a batch was not removed.
    type Error: Error + Send + 'static;

    /// What is removed, for the log.
    const WHAT: &'static str;
    /// The same as a label.
    const LABEL: &'static str;

    /// Removes a small batch of what is older than `before`.
    fn remove(
        &mut self,
        before: Timestamp,
    ) -> impl Future<Output = Result<Batch, Self::Error>> + Send;
}

/// From when on what is old may be removed of a database: [`Database::removal`](crate::Database::removal).
#[derive(Clone, Debug)]
pub struct Removal {
    from: Timestamp,
    measured: Measured,
}

impl Removal {
    pub(crate) fn of(from: Timestamp, measured: Measured) -> Self {
        Self { from, measured }
    }
}

/// Of no database, and not measured.
impl From<Timestamp> for Removal {
    fn from(from: Timestamp) -> Self {
        Self::of(from, Measured::default())
    }
}

/// Removes what has been kept for so long, now and again, as long as it is polled, and nothing before `removal` allows it.
pub async fn run<A: Expiring>(clock: Clock, keep: Keep, removal: Removal, mut expiring: A) {
    let Removal { from, measured } = removal;
    let held = from.since(clock.now());
    if !held.is_zero() {
        tracing::warn!(
            what = A::WHAT,
            minutes = held.as_secs() / 60,
            "nothing that is old is removed for now: the database was last written to more than a day from what the clock \
             says; where the clock is wrong, stop the process and set it right"
        );
        clock.sleep_until(from).await;
    }
    let measures = measured.removal(A::LABEL);
    loop {
        let swept = sweep(&clock, keep, &mut expiring, &measures).await;
        if swept.is_ok() {
            measures.swept(clock.now());
        }
        match swept {
            Ok(0) => {}
            Ok(removed) => tracing::info!(what = A::WHAT, removed, "what is too old was removed"),
            Err(error) => tracing::error!(
                what = A::WHAT,
                error = &error as &dyn Error,
                "what is too old could not be removed; it is tried again"
            ),
        }
        clock.sleep(SWEEP_INTERVAL).await;
    }
}

async fn sweep<A: Expiring>(
    clock: &Clock,
    keep: Keep,
    expiring: &mut A,
    measures: &RemovalMeasures,
) -> Result<u64, A::Error> {
    let mut removed = 0;
    loop {
        let begun = clock.now();
        let batch = expiring.remove(keep.horizon(begun)).await?;
        removed += batch.removed;
        measures.removed(batch.removed);
        if !batch.more {
            return Ok(removed);
        }
        let pause = clock.now().since(begun) * PAUSE_FACTOR;
        clock.sleep(pause.max(MIN_PAUSE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_kept_is_a_duration_and_anything_else_is_told_with_the_cure() {
        let month = Keep(Duration::from_secs(30 * 86_400));
        assert_eq!("30d".parse(), Ok(month));
        assert_eq!(month.to_string().parse(), Ok(month));
        for wrong in ["", "30", "0s", "forever", "-1d", "9999d"] {
            let why = wrong.parse::<Keep>().unwrap_err();
            assert!(why.contains("write a whole number and a unit"), "{why}");
        }
    }

    #[test]
    fn answers_are_kept_for_a_day_at_least_and_for_a_week_where_nothing_is_said() {
        let day = Duration::from_secs(86_400);
        for (text, kept) in [("24h", day), ("1440m", day), ("7d", 7 * day)] {
            assert_eq!(text.parse(), Ok(KeepAnswers(Keep(kept))));
        }
        for short in ["1s", "23h", "86399s", "1ms"] {
            let why = short.parse::<KeepAnswers>().unwrap_err();
            assert!(why.contains("write 24h or more"), "{why}");
        }
        assert_eq!(KeepAnswers::default(), "7d".parse().unwrap());
    }
}
