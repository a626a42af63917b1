//! When an alarm holds, by what the journal counts.

use std::{collections::BTreeMap, time::Duration};

use clock::{Timestamp, duration};
use saga::Status;

use super::Alarm;
use crate::{
    config::Alarms,
    journal::{Compensations, UnfinishedCounts, compensations::Counts},
};

/// What a look at one alarm found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub(super) alarm: Alarm,
    pub(super) holds: bool,
    /// In the unit of the threshold; `None` where there is nothing to measure.
    pub(super) value: Option<f64>,
    pub(super) threshold: f64,
    /// The value of each definition that has one.
    pub(super) definitions: BTreeMap<String, f64>,
    /// What it is about, as a sentence without its full stop.
    pub(super) text: String,
}

pub(super) fn readings(
    settings: &Alarms,
    compensations: &Compensations,
    unfinished: &UnfinishedCounts,
    now: Timestamp,
) -> [Reading; Alarm::ALL.len()] {
    let sum = compensations.clone().sum();
    [
        success(settings, compensations, &sum),
        manual_backlog(settings, unfinished),
        stuck(compensations, &sum),
        slow(settings, compensations, &sum, now),
    ]
}

fn success(settings: &Alarms, compensations: &Compensations, sum: &Counts) -> Reading {
    let threshold = f64::from(settings.success_below);
    let value = sum.success_rate();
    let are_enough = sum.total() >= settings.success_of_at_least;
    let Counts { succeeded, failed, manual, .. } = sum;
    Reading {
        alarm: Alarm::CompensationSuccess,
        holds: are_enough && value.is_some_and(|value| value < threshold),
        value,
        threshold,
        definitions: each(compensations, Counts::success_rate),
        text: format!(
            "of {} compensations {succeeded} succeeded within {}, {failed} failed, and {manual} need a person",
            sum.total(),
            duration::text(settings.window)
        ),
    }
}

fn manual_backlog(settings: &Alarms, unfinished: &UnfinishedCounts) -> Reading {
    let mut backlog: BTreeMap<String, u64> = BTreeMap::new();
    for group in unfinished.groups.iter().filter(|group| group.status == Status::Attention) {
        *backlog.entry(group.definition.clone()).or_default() += group.sagas;
    }
    let sagas = backlog.values().sum();
    Reading {
        alarm: Alarm::ManualBacklog,
        holds: sagas > settings.backlog_above,
        value: Some(number(sagas)),
        threshold: number(settings.backlog_above),
        definitions: backlog.into_iter().map(|(name, sagas)| (name, number(sagas))).collect(),
        text: format!("{sagas} sagas need a person"),
    }
}

fn stuck(compensations: &Compensations, sum: &Counts) -> Reading {
    Reading {
        alarm: Alarm::CompensationStuck,
        holds: sum.manual > 0,
        value: Some(number(sum.manual)),
        threshold: 0.0,
        definitions: each(compensations, |counts| {
            Some(counts.manual).filter(|manual| *manual > 0).map(number)
        }),
        text: match sum.manual {
            1 => "1 compensation is stuck until a person acts".to_owned(),
            manual => format!("{manual} compensations are stuck until a person acts"),
        },
    }
}

fn slow(settings: &Alarms, compensations: &Compensations, sum: &Counts, now: Timestamp) -> Reading {
    let longest = sum.longest(now);
    let running = sum.oldest.as_ref().map(|oldest| now.since(oldest.began_at));
    let what = match running {
        Some(running) if running == longest => "has taken so far",
        _ => "took",
    };
    Reading {
        alarm: Alarm::CompensationSlow,
        holds: longest > settings.longer_than,
        value: Some(longest.as_secs_f64()),
        threshold: settings.longer_than.as_secs_f64(),
        definitions: each(compensations, |counts| Some(counts.longest(now).as_secs_f64())),
        text: format!(
            "the longest compensation {what} {}",
            duration::text(Duration::from_secs(longest.as_secs()))
        ),
    }
}

fn each(
    compensations: &Compensations,
    value: impl Fn(&Counts) -> Option<f64>,
) -> BTreeMap<String, f64> {
    let values = compensations.0.iter().filter_map(|(name, counts)| Some((name, value(counts)?)));
    values.map(|(name, value)| (name.clone(), value)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 sagas")]
fn number(counted: u64) -> f64 {
    counted as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{
        compensations::{Oldest, Slowest},
        unfinished::Group,
    };

    const NOW: Timestamp = Timestamp(10_000_000);

    fn holding(counts: Counts, backlog: u64) -> Vec<&'static str> {
        let compensations = Compensations([("d".to_owned(), counts)].into());
        let group = |status, sagas| Group {
            definition: "d".to_owned(),
            status,
            reason: None,
            sagas,
            since: NOW,
        };
        let groups = vec![group(Status::Running, 100), group(Status::Attention, backlog)];
        let unfinished = UnfinishedCounts { groups, ..UnfinishedCounts::default() };
        let readings = readings(&Alarms::default(), &compensations, &unfinished, NOW);
        readings
            .iter()
            .filter(|reading| reading.holds)
            .map(|reading| reading.alarm.name())
            .collect()
    }

    #[test]
    fn each_alarm_holds_beyond_its_threshold_and_not_at_it() {
        let none = Counts::default;
        let nothing: [&str; 0] = [];
        assert_eq!(holding(none(), 0), nothing);
        assert_eq!(holding(Counts { succeeded: 9, failed: 1, ..none() }, 0), nothing);
        assert_eq!(
            holding(Counts { succeeded: 8, failed: 2, ..none() }, 0),
            ["compensation_success"]
        );
        // A night with little traffic wakes nobody for one failure.
        assert_eq!(holding(Counts { succeeded: 8, failed: 1, ..none() }, 0), nothing);
        assert_eq!(holding(Counts { failed: 9, ..none() }, 0), nothing);
        assert_eq!(holding(none(), 10), nothing);
        assert_eq!(holding(none(), 11), ["manual_backlog"]);
        assert_eq!(holding(Counts { manual: 1, ..none() }, 1), ["compensation_stuck"]);
        let manual = Counts { succeeded: 17, manual: 3, ..none() };
        assert_eq!(holding(manual, 3), ["compensation_success", "compensation_stuck"]);
    }

    #[test]
    fn a_compensation_is_slow_whether_it_has_ended_or_not() {
        let ended = |seconds: u64| {
            let lasted = Duration::from_secs(seconds);
            let slowest = Some(Slowest { lasted, saga_id: "s".to_owned() });
            holding(Counts { slowest, ..Counts::default() }, 0)
        };
        let running = |seconds: u64| {
            let began_at = Timestamp(NOW.0 - seconds * 1_000);
            let oldest = Some(Oldest { began_at, saga_id: "s".to_owned() });
            holding(Counts { oldest, ..Counts::default() }, 0)
        };
        for holding in [ended(300), running(300)] {
            assert!(holding.is_empty(), "{holding:?}");
        }
        for holding in [ended(301), running(301)] {
            assert_eq!(holding, ["compensation_slow"]);
        }
    }
}
