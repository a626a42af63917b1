//! The journal's reads, but for the lists.

use store::{Connection, Value};

use super::rows;
use crate::journal::{Asleep, Entry, Error, IndexRow, Loaded, Number, Unfinished};

const FIND: &str = "
    select id, definition_hash, definition, version, key, trace, deadline, created_at, updated_at, state,
           aside_code, aside_message, number, state_seq, state_link, reason_code, reason_message, reason_step, asleep_until, request
    from saga
    where id = ?1";

// This is the condition of the partial index, word for word, so that sagas that have ended are not read.
const UNFINISHED: &str = "
    select state, id from saga
    where state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null
      and asleep_until is null and (state, id) > (?1, ?2)
    order by state, id
    limit ?3";

// The condition of the partial index, word for word.
const ASLEEP: &str = "
    select asleep_until, id, definition from saga
    where asleep_until is not null and (asleep_until, id) > (?1, ?2)";

const NUMBER: &str = "select number from saga where id = ?1";

const ENTRIES: &str = "select place, at, record, link from event where place between ?1 and ?2 order by place limit ?3";

pub(super) fn find(connection: &Connection, saga_id: &str) -> Result<Option<IndexRow>, Error> {
    connection.optional(FIND, [saga_id], rows::index_row_with_request)
}

/// A saga with its records from `from` on.
pub(super) fn load(
    connection: &Connection,
    saga_id: &str,
    from: u64,
) -> Result<Option<Loaded>, Error> {
    let Some(index_row) = find(connection, saga_id)? else { return Ok(None) };
    let entries = match entries(connection, index_row.number, from, u32::MAX) {
        Err(error @ Error::Store(_)) => return Err(error),
        entries => entries,
    };
    Ok(Some(Loaded { index_row, entries }))
}

pub(super) fn entries_of(
    connection: &Connection,
    saga_id: &str,
    from: u64,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let number =
        connection.optional(NUMBER, [saga_id], |row| Ok::<_, Error>(Number(row.get(0)?)))?;
    number.map_or_else(|| Ok(Vec::new()), |number| entries(connection, number, from, limit))
}

fn entries(
    connection: &Connection,
    number: Number,
    from: u64,
    limit: u32,
) -> Result<Vec<Entry>, Error> {
    let Some(from) = rows::place(number, from) else { return Ok(Vec::new()) };
    connection.all(ENTRIES, (from, rows::places(number).1, limit), rows::entry)
}

/// The record at one position.
pub(super) fn entry(
    connection: &Connection,
    number: Number,
    seq: u64,
) -> Result<Option<Entry>, Error> {
    let Some(place) = rows::place(number, seq) else { return Ok(None) };
    connection.optional(ENTRIES, (place, place, 1_u32), rows::entry)
}

pub(super) fn unfinished(
    connection: &Connection,
    after: &Unfinished,
    limit: u32,
) -> Result<Vec<Unfinished>, Error> {
    connection.all(UNFINISHED, (&after.state, &after.saga_id, limit), |row| {
        Ok(Unfinished { state: row.get(0)?, saga_id: row.get(1)? })
    })
}

/// The sagas that are asleep after the one at `after`, but for those of the definitions `but`, the next to be due first.
pub(super) fn asleep(
    connection: &Connection,
    after: &Asleep,
    but: &[String],
    limit: u32,
) -> Result<Vec<Asleep>, Error> {
    let mut text = ASLEEP.to_owned();
    let mut values = vec![Value::Integer(rows::millis(after.until)), Value::Text(&after.saga_id)];
    for definition in but {
        values.push(Value::Text(definition));
        text.push_str(&format!(" and definition <> ?{}", values.len()));
    }
    values.push(Value::Integer(limit.into()));
    text.push_str(&format!(" order by asleep_until, id limit ?{}", values.len()));
    connection.all(&text, &values[..], |row| {
        Ok(Asleep {
            until: rows::timestamp(row, 0)?,
            saga_id: row.get(1)?,
            definition: row.get(2)?,
        })
    })
}
