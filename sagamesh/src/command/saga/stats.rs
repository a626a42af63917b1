//! `sagamesh saga stats`.

use std::time::Duration;

use clap::Args;
use clock::{Clock, duration};
use facade::wire::{instant, read_duration};
use proto::saga::v1::{
    CompensationTime, GetCompensationStatsRequest, GetCompensationStatsResponse,
};

use super::Client;
use crate::{
    arguments::{Format, Global},
    connect::{request, success},
    error::CommandResult,
    output,
};

pub(super) const HELP: &str = "\
Counts what ended within the window, and what needs a person now:
  succeeded  ended COMPENSATED, every undo carried out by the saga itself
  failed     ended by a person: resolved, or with an undo that was skipped by hand
  manual     turned back and in ATTENTION now, however long ago that began
  success    succeeded in percent of all three; nothing where there are none

Examples:
  sagamesh saga stats
  sagamesh saga stats --last 1d --definition place-order
  sagamesh saga stats --from 2026-11-28T00:00:00Z --to 2026-11-29T00:00:00Z -o json";

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Count what ended at this instant or later, as 2026-11-28T16:00:00Z; an hour before the end of the window where it is
    /// left out
    #[arg(long, value_name = "INSTANT", value_parser = read_instant)]
    from: Option<prost_types::Timestamp>,
    /// Count what ended before this instant; up to now where it is left out
    #[arg(long, value_name = "INSTANT", value_parser = read_instant)]
    to: Option<prost_types::Timestamp>,
    /// Count what ended within so much time until now, as 15m, 1h or 7d
    #[arg(long, value_name = "DURATION", value_parser = read_last, conflicts_with_all = ["from", "to"])]
    last: Option<Duration>,
    /// Only sagas of this definition
    #[arg(long, default_value = "")]
    definition: String,
}

fn read_instant(text: &str) -> Result<prost_types::Timestamp, String> {
    text.parse().map_err(|_| "write an instant as 2026-11-28T16:00:00Z".to_owned())
}

fn read_last(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|what| format!("{what}: {}", duration::CURE))
}

pub(super) async fn run(global: &Global, client: &mut Client, wanted: Stats) -> CommandResult {
    let Stats { from, to, last, definition } = wanted;
    let now = Clock::system().now();
    let since = |last: Duration| {
        let ms = u64::try_from(last.as_millis()).unwrap_or(u64::MAX);
        instant(clock::Timestamp(now.0.saturating_sub(ms)))
    };
    let message =
        GetCompensationStatsRequest { from: from.or_else(|| last.map(since)), to, definition };
    let answer = client.get_compensation_stats(request(global, message)).await;
    let stats = success("the compensations were not counted", global, answer)?;
    if global.output == Format::Json {
        return output::json(&stats);
    }
    output::table(&["", ""], &rows(&stats));
    if stats.manual > 0 {
        anstream::eprintln!("what needs a person: sagamesh saga list --state attention");
    }
    Ok(())
}

fn rows(stats: &GetCompensationStatsResponse) -> Vec<Vec<String>> {
    let rate = stats.success_rate.map(|rate| format!("{rate:.1} %"));
    let facts = [
        ("from", output::instant(stats.from.as_ref())),
        ("to", output::instant(stats.to.as_ref())),
        ("total", stats.total.to_string()),
        ("succeeded", stats.succeeded.to_string()),
        ("failed", stats.failed.to_string()),
        ("manual", stats.manual.to_string()),
        ("success", or_nothing(rate)),
        ("slowest", or_nothing(stats.slowest.as_ref().map(time))),
        ("oldest running", or_nothing(stats.oldest_running.as_ref().map(time))),
    ];
    facts.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]).collect()
}

fn or_nothing(fact: Option<String>) -> String {
    fact.unwrap_or_else(|| "-".to_owned())
}

/// `4.2s  SAGA  of place-order`.
fn time(time: &CompensationTime) -> String {
    let duration = time.duration.as_ref().and_then(|duration| read_duration(duration).ok());
    let seconds = duration.unwrap_or_default().as_secs_f64();
    format!("{}  {}  of {}", lasting(seconds), time.saga_id, time.definition)
}

fn lasting(seconds: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    match seconds {
        ..MINUTE => format!("{seconds:.1}s"),
        ..HOUR => format!("{:.1}m", seconds / MINUTE),
        ..DAY => format!("{:.1}h", seconds / HOUR),
        _ => format!("{:.1}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_none_of_is_told_by_a_dash_and_a_rate_has_a_digit() {
        let empty = rows(&GetCompensationStatsResponse::default());
        let find = |rows: &[Vec<String>], name: &str| {
            rows.iter().find(|row| row[0] == name).map(|row| row[1].clone()).unwrap()
        };
        for name in ["success", "slowest", "oldest running"] {
            assert_eq!(find(&empty, name), "-");
        }
        let slowest = CompensationTime {
            saga_id: "s".to_owned(),
            definition: "d".to_owned(),
            duration: Some(prost_types::Duration { seconds: 312, nanos: 0 }),
        };
        let some = rows(&GetCompensationStatsResponse {
            total: 3,
            succeeded: 2,
            success_rate: Some(200.0 / 3.0),
            slowest: Some(slowest),
            ..GetCompensationStatsResponse::default()
        });
        assert_eq!(find(&some, "success"), "66.7 %");
        assert_eq!(find(&some, "slowest"), "5.2m  s  of d");
    }

    #[test]
    fn instants_and_durations_are_read_or_told_how_they_are_written() {
        assert_eq!(read_instant("1970-01-01T00:01:00Z").unwrap().seconds, 60);
        assert!(read_instant("yesterday").unwrap_err().contains("2026-11-28T16:00:00Z"));
        assert_eq!(read_last("1h").unwrap(), Duration::from_hours(1));
        assert!(read_last("1 hour").unwrap_err().contains("1h"));
    }
}
