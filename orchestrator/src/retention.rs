//! Retention: sagas that ended long ago are removed, so that the journal's file stops growing.
//!
//! Only what has ended is ever removed. With a saga its idempotency key is forgotten: a request that is repeated after
//! that starts another.

use std::{fmt, str::FromStr, time::Duration};

use clock::{Clock, Timestamp};
use serde::Deserialize;

use crate::{definition::duration, journal};

/// Sagas in one transaction, which the sagas that run wait for.
const BATCH: u32 = 20;
/// How many times as long as a batch took the journal's one writer is left to the sagas that run.
const BREATHS: u32 = 4;
const SHORTEST_BREATH: Duration = Duration::from_millis(5);
/// How long until it is looked again.
const PAUSE: Duration = Duration::from_secs(30);

/// How long sagas are kept after their end: `500ms`, `30s`, `2m`, `1h`, `30d`; a year at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Keep(Duration);

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self).map_err(|what| format!("{what}: {}", duration::CURE))
    }
}

/// As it is read again.
impl fmt::Display for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}ms", self.0.as_millis())
    }
}

impl TryFrom<String> for Keep {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Removes what has been kept for so long, now and again, as long as it is polled.
pub(crate) async fn run(clock: &Clock, journal: &dyn journal::Journal, Keep(keep): Keep) {
    loop {
        match sweep(clock, journal, keep).await {
            Ok(0) => {}
            Ok(sagas) => tracing::info!(sagas, "sagas that ended long ago were removed"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "old sagas could not be removed; it is tried again"
            ),
        }
        clock.sleep(PAUSE).await;
    }
}

async fn sweep(
    clock: &Clock,
    journal: &dyn journal::Journal,
    keep: Duration,
) -> Result<u64, journal::Error> {
    let mut removed = 0;
    loop {
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let begun = clock.now();
        let before = Timestamp(begun.0.saturating_sub(keep));
        let batch = journal.remove_ended(before, BATCH).await?;
        removed += batch;
        if batch < u64::from(BATCH) {
            return Ok(removed);
        }
        let breath = clock.now().since(begun) * BREATHS;
        clock.sleep(breath.max(SHORTEST_BREATH)).await;
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
}
