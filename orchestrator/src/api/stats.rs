//! What compensations came to within a window of time.

use std::time::Duration;

use clock::Timestamp;
use facade::{
    Failure,
    wire::{instant, read_instant},
};
use proto::{
    facade::v1::Reason,
    saga::v1::{CompensationTime, GetCompensationStatsRequest, GetCompensationStatsResponse},
};

use crate::{
    driver::Driver,
    journal::{Compensations, Window},
};

/// How long the window is where a request does not say when it begins.
const DEFAULT_WINDOW: Duration = Duration::from_hours(1);

pub(super) async fn get(
    driver: &Driver,
    GetCompensationStatsRequest { from, to, definition }: GetCompensationStatsRequest,
) -> Result<GetCompensationStatsResponse, Failure> {
    let now = driver.clock().now();
    let window = window(from, to, now)?;
    if !definition.is_empty() && driver.registry().find(&definition, 0).is_none() {
        let message = format!("no definition {definition} is registered");
        return Err(Failure::new(Reason::DefinitionUnknown, message));
    }
    let found = driver.journal().compensations(window, &definition).await;
    Ok(response(window, found.map_err(Failure::unavailable)?, now))
}

fn window(
    from: Option<prost_types::Timestamp>,
    to: Option<prost_types::Timestamp>,
    now: Timestamp,
) -> Result<Window, Failure> {
    let read = |field, at: Option<prost_types::Timestamp>| {
        at.map(|at| read_bound(&at)).transpose().map_err(|what| Failure::invalid(field, what))
    };
    let (from, to) = (read("from", from)?, read("to", to)?);
    let Window { from: hour_ago, to: behind_now } = Window::until(now, DEFAULT_WINDOW);
    let window = match (from, to) {
        (from, None) => Window { from: from.unwrap_or(hour_ago), to: behind_now },
        (Some(from), Some(to)) => Window { from, to },
        (None, Some(to)) => Window { to, ..Window::until(to, DEFAULT_WINDOW) },
    };
    match window.from < window.to {
        true => Ok(window),
        false => {
            Err(Failure::invalid("from", "must be before `to`, which is now where it is unset"))
        }
    }
}

/// The first millisecond that is not before the instant: sagas end at whole ones.
fn read_bound(at: &prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    let started = read_instant(at)?;
    let is_whole = instant(started).nanos == at.nanos || started == Timestamp(0);
    Ok(if is_whole { started } else { started.after(Duration::from_millis(1)) })
}

fn response(window: Window, found: Compensations, now: Timestamp) -> GetCompensationStatsResponse {
    let (slowest, oldest_running) = (slowest(&found), oldest_running(&found, now));
    let sum = found.sum();
    let number = |counted: u64| u32::try_from(counted).unwrap_or(u32::MAX);
    GetCompensationStatsResponse {
        result: None,
        from: Some(instant(window.from)),
        to: Some(instant(window.to)),
        total: number(sum.total()),
        succeeded: number(sum.succeeded),
        failed: number(sum.failed),
        manual: number(sum.manual),
        success_rate: sum.success_rate(),
        slowest,
        oldest_running,
    }
}

fn slowest(found: &Compensations) -> Option<CompensationTime> {
    let each = found.0.iter().filter_map(|(definition, counts)| {
        counts.slowest.as_ref().map(|slowest| (definition, slowest))
    });
    let (definition, slowest) = each.max_by_key(|(_, slowest)| slowest.lasted)?;
    Some(time(&slowest.saga_id, definition, slowest.lasted))
}

fn oldest_running(found: &Compensations, now: Timestamp) -> Option<CompensationTime> {
    let each = found.0.iter().filter_map(|(definition, counts)| {
        counts.oldest.as_ref().map(|oldest| (definition, oldest))
    });
    let (definition, oldest) = each.min_by_key(|(_, oldest)| oldest.began_at)?;
    Some(time(&oldest.saga_id, definition, now.since(oldest.began_at)))
}

fn time(saga_id: &str, definition: &str, duration: Duration) -> CompensationTime {
    CompensationTime {
        saga_id: saga_id.to_owned(),
        definition: definition.to_owned(),
        duration: Some(prost_types::Duration {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(7_200_000);

    fn at(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos })
    }

    #[test]
    fn a_window_is_the_last_hour_where_nothing_is_said_and_takes_whole_milliseconds() {
        let read = |from, to| {
            let Window { from, to } = window(from, to, NOW).unwrap();
            (from.0, to.0)
        };
        assert_eq!(read(None, None), (3_600_000, 7_200_001));
        assert_eq!(read(at(7_199, 0), None), (7_199_000, 7_200_001));
        assert_eq!(read(None, at(5_000, 0)), (1_400_000, 5_000_000));
        assert_eq!(read(at(-5, 1), at(1, 1)), (0, 1_001), "nothing is older than the epoch");
        assert_eq!(read(at(1, 1), at(1, 1_000_001)), (1_001, 1_002));
    }

    #[test]
    fn a_window_that_holds_no_instant_is_refused_and_so_is_a_bound_that_is_none() {
        for (from, to, field) in [
            (at(2, 0), at(2, 0), "from"),
            (at(3, 0), at(2, 0), "from"),
            (at(1, 1), at(1, 999_999), "from"),
            (at(7_201, 0), None, "from"),
            (None, at(0, 0), "from"),
            (at(i64::MAX, 0), None, "from"),
            (at(0, -1), None, "from"),
            (None, at(253_402_300_800, 0), "to"),
            (None, at(1, i32::MAX), "to"),
        ] {
            let Err(Failure::Invalid(violations)) = window(from, to, NOW) else {
                panic!("{from:?} {to:?}")
            };
            assert_eq!(violations[0].path, field, "{from:?} {to:?}");
        }
    }
}
