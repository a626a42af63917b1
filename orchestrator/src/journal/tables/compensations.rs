//! Compensations: those that are under way, and what those that ended are counted by.
//!
//! All that is written here is written in the transaction of what it counts, and for sagas that turn back alone.

use std::time::Duration;

use clock::Timestamp;
use saga::{Compensation, CompensationEnd};
use store::{Connection, Dialect, Row};

use super::{
    list::{IS_ASIDE, IS_UNFINISHED},
    rows,
};
use crate::journal::{
    Compensations, Error, Number, Window,
    compensations::{Counts, Oldest, SPANS, Slowest},
};

const BEGIN: &str = "
    insert into compensation (saga, definition, began_at)
    select number, definition, ?2 from saga where number = ?1
    on conflict (saga) do nothing";

const END: &str = "delete from compensation where saga = ?1";

const COUNT: &str = "
    insert into compensation_count (span, start, definition, succeeded, failed, slowest, slowest_saga)
    select ?2, ?3, definition, ?4, ?5, ?6, id from saga where number = ?1
    on conflict (span, start, definition) do update set
        succeeded = compensation_count.succeeded + excluded.succeeded,
        failed = compensation_count.failed + excluded.failed,
        slowest_saga = case when excluded.slowest > compensation_count.slowest
            then excluded.slowest_saga else compensation_count.slowest_saga end,
        slowest = case when excluded.slowest > compensation_count.slowest
            then excluded.slowest else compensation_count.slowest end";

const OF_SAGA: &str = "
    select compensation.saga, began_at from compensation join saga on saga.number = compensation.saga where saga.id = ?1";

const COUNTED: &str = "
    select definition, succeeded, failed, slowest, slowest_saga from compensation_count
    where span = ?1 and start >= ?2 and start < ?3 and (?4 = '' or definition = ?4)";

const BEGAN_FIRST: &str = "
    select definition, min(began_at) from compensation
    where began_at < ?1 and (?2 = '' or definition = ?2)
    group by definition";

const BEGAN_AT: &str = "
    select saga.id from compensation join saga on saga.number = compensation.saga
    where compensation.definition = ?1 and began_at = ?2
    order by saga.id
    limit 1";

// By the end of the span, so that what a row counts is as old as that.
const OLDEST: &str = "
    select start, definition from compensation_count where span = ?1 and start < ?2 order by start limit ?3";

const REMOVE: &str =
    "delete from compensation_count where span = ?1 and start = ?2 and definition = ?3";

/// Puts down how far the compensation of this saga has come at `at`.
pub(super) fn note(
    connection: &Connection,
    saga: Number,
    compensation: &Compensation,
    at: Timestamp,
) -> Result<(), Error> {
    let began_at = Timestamp(compensation.began_at.0);
    match compensation.end {
        None => {
            connection.execute(BEGIN, (saga.0, rows::millis(began_at)))?;
            Ok(())
        }
        Some(end) => count(connection, saga, began_at, end, at),
    }
}

/// Puts down that a person has closed the saga, which stood aside, at `at`.
pub(super) fn close(connection: &Connection, saga_id: &str, at: Timestamp) -> Result<(), Error> {
    let read = |row: &Row<'_>| Ok::<_, Error>((Number(row.get(0)?), rows::timestamp(row, 1)?));
    match connection.optional(OF_SAGA, [saga_id], read)? {
        Some((saga, began_at)) => count(connection, saga, began_at, CompensationEnd::Failed, at),
        None => Ok(()),
    }
}

fn count(
    connection: &Connection,
    saga: Number,
    began_at: Timestamp,
    end: CompensationEnd,
    at: Timestamp,
) -> Result<(), Error> {
    connection.execute(END, [saga.0])?;
    let (succeeded, failed) = match end {
        CompensationEnd::Succeeded => (1_i64, 0_i64),
        CompensationEnd::Failed => (0, 1),
    };
    let lasted = i64::try_from(at.since(began_at).as_millis()).unwrap_or(i64::MAX);
    let mut count = connection.prepare(COUNT)?;
    for span in SPANS {
        let (ms, start) = (length(span), rows::millis(Timestamp(at.0 / span * span)));
        count.execute((saga.0, ms, start, succeeded, failed, lasted))?;
    }
    Ok(())
}

fn length(span: u64) -> i64 {
    rows::millis(Timestamp(span))
}

/// What compensations came to within the window.
pub(super) fn within(
    connection: &Connection,
    window: Window,
    definition: &str,
) -> Result<Compensations, Error> {
    let mut found = Compensations::default();
    for (span, part) in window.by_spans() {
        let values = (length(span), rows::millis(part.from), rows::millis(part.to), definition);
        for (definition, counts) in connection.all(COUNTED, values, read_counts)? {
            found.of(&definition).add(counts);
        }
    }
    let before = rows::millis(window.to);
    let read = |row: &Row<'_>| Ok::<_, Error>((row.get::<String>(0)?, rows::timestamp(row, 1)?));
    for (definition, began_at) in connection.all(BEGAN_FIRST, (before, definition), read)? {
        let first = (&definition, rows::millis(began_at));
        let saga_id = connection.optional(BEGAN_AT, first, |row| Ok::<_, Error>(row.get(0)?))?;
        let saga_id = saga_id.unwrap_or_default();
        found.of(&definition).oldest = Some(Oldest { began_at, saga_id });
    }
    for manual in manual(connection.dialect()) {
        for (definition, number) in connection.all(&manual, (before, definition), read_number)? {
            found.of(&definition).manual += number;
        }
    }
    Ok(found)
}

fn read_counts(row: &Row<'_>) -> Result<(String, Counts), Error> {
    let lasted = Duration::from_millis(row.get::<i64>(3)?.unsigned_abs());
    let counts = Counts {
        succeeded: row.get::<i64>(1)?.unsigned_abs(),
        failed: row.get::<i64>(2)?.unsigned_abs(),
        slowest: Some(Slowest { lasted, saga_id: row.get(4)? }),
        ..Counts::default()
    };
    Ok((row.get(0)?, counts))
}

fn read_number(row: &Row<'_>) -> Result<(String, u64), Error> {
    Ok((row.get(0)?, row.get::<i64>(1)?.unsigned_abs()))
}

/// How many of the sagas in ATTENTION have turned back, by definition; by the indexes that lists of them go by.
fn manual(dialect: Dialect) -> [String; 2] {
    let in_attention = [
        (dialect.indexed_by("saga_unfinished"), format!("{IS_UNFINISHED} and state = 'ATTENTION'")),
        (dialect.indexed_by("saga_aside"), IS_ASIDE.to_owned()),
    ];
    // `cross` and not `inner`: SQLite then reads the tables in this order.
    in_attention.map(|(index, condition)| {
        format!(
            "select compensation.definition, count(*) from saga{index} cross join compensation
             where {condition} and compensation.saga = saga.number
               and began_at < ?1 and (?2 = '' or compensation.definition = ?2)
             group by compensation.definition"
        )
    })
}

/// Removes what is counted of spans that ended before `before`; gives how many rows were removed.
pub(super) fn remove(connection: &Connection, before: Timestamp, limit: u32) -> Result<u64, Error> {
    let mut removed = 0;
    for span in SPANS {
        let last = rows::millis(Timestamp((before.0 + 1).saturating_sub(span)));
        let left = limit.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
        let read = |row: &Row<'_>| Ok::<(i64, String), Error>((row.get(0)?, row.get(1)?));
        let old = connection.all(OLDEST, (length(span), last, left), read)?;
        for (start, definition) in &old {
            connection.execute(REMOVE, (length(span), *start, definition))?;
        }
        removed += u64::try_from(old.len()).unwrap_or_default();
    }
    Ok(removed)
}
