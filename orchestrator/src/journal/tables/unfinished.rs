//! Counts of the sagas that have not ended, from the entries of the partial indexes: neither a row is read, nor anything
//! that has ended.

use clock::Timestamp;
use proto::facade::v1::Reason::JournalUnreadable;
use saga::Status;
use store::{Connection, Dialect, Row};

use super::{
    list::{IS_ASIDE, IS_UNFINISHED},
    rows,
};
use crate::journal::{
    Error,
    unfinished::{Group, UnfinishedCounts},
};

/// The sagas that have not ended, of which those are due that are asleep until `now` or before.
pub(super) fn counts(connection: &Connection, now: Timestamp) -> Result<UnfinishedCounts, Error> {
    let (dialect, mut counts) = (connection.dialect(), UnfinishedCounts::default());
    let standing = connection.all(&standing(dialect), [rows::millis(now)], |row| {
        Ok::<_, Error>((group(row)?, row.get::<i64>(5)?, row.get::<i64>(6)?))
    })?;
    for (group, due, awake) in standing {
        counts.groups.push(group);
        counts.due += due.unsigned_abs();
        counts.awake += awake.unsigned_abs();
    }
    counts.groups.extend(connection.all(&aside(dialect), (), group)?);
    Ok(counts)
}

/// Those that do not stand aside, with how many of each group are due, and how many are awake.
fn standing(dialect: Dialect) -> String {
    format!(
        "select definition, state, case state when 'ATTENTION' then reason_code end as reason, count(*), min(updated_at),
                coalesce(sum(asleep_until <= ?1), 0), coalesce(sum(asleep_until is null), 0)
         from saga{} where {IS_UNFINISHED}
         group by definition, state, reason",
        dialect.indexed_by("saga_unfinished")
    )
}

fn aside(dialect: Dialect) -> String {
    format!(
        "select definition, 'ATTENTION', aside_code, count(*), min(updated_at) from saga{} where {IS_ASIDE}
         group by definition, aside_code",
        dialect.indexed_by("saga_aside")
    )
}

fn group(row: &Row<'_>) -> Result<Group, Error> {
    let state: String = row.get(1)?;
    // A row that makes no sense needs a person, and is set aside when it is taken up.
    let (status, reason) = match Status::from_name(&state) {
        Some(status) => (status, row.get(2)?),
        None => (Status::Attention, Some(JournalUnreadable.code().to_owned())),
    };
    let sagas: i64 = row.get(3)?;
    Ok(Group {
        definition: row.get(0)?,
        status,
        reason,
        sagas: sagas.unsigned_abs(),
        since: rows::timestamp(row, 4)?,
    })
}
