//! The journal's reads.

use participant::sqlite::Connection;
use rusqlite::{params_from_iter, types::Value};
use saga::Status;

use super::rows;
use crate::journal::{Definition, Entry, Error, Filter, Listed, Number};

const SAGA: &str = "select id, definition_hash, definition, version, key, request, trace, deadline, created_at, \
                    updated_at, state, aside_code, aside_message, number from saga where ";

/// The condition of the partial index, word for word: however many have ended, they are not looked at.
const UNFINISHED: &str = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null";

const NUMBER: &str = "select number from saga where id = ?1";

const ENTRIES: &str =
    "select place, at, record, link from event where place between ?1 and ?2 order by place";

const DEFINITIONS: &str = "
    select hash, name, version, source, file, descriptors, registered_at
    from definition
    order by name, version desc";

pub(super) fn find(connection: &Connection, saga_id: &str) -> Result<Option<Listed>, Error> {
    connection.optional(&format!("{SAGA} id = ?1"), [saga_id], rows::listed)
}

pub(super) fn entries(
    connection: &Connection,
    saga_id: &str,
    from: u64,
) -> Result<Vec<Entry>, Error> {
    let number =
        connection.optional(NUMBER, [saga_id], |row| Ok::<_, Error>(Number(row.get(0)?)))?;
    let Some((number, from)) = number.and_then(|number| Some((number, rows::place(number, from)?)))
    else {
        return Ok(Vec::new());
    };
    connection.all(ENTRIES, (from, rows::places(number).1), rows::entry)
}

pub(super) fn unfinished(
    connection: &Connection,
    after: &str,
    limit: u32,
) -> Result<Vec<Listed>, Error> {
    let query = format!("{SAGA} {UNFINISHED} and id > ?1 order by id limit ?2");
    connection.all(&query, (after, limit), rows::listed)
}

pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    before: &str,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let mut query = Query { text: format!("{SAGA} true"), values: Vec::new() };
    if !before.is_empty() {
        query.and("id < ?", before.to_owned());
    }
    let under_way = |status: &Status| !status.is_ended() && *status != Status::Attention;
    if !filter.statuses.is_empty() && filter.statuses.iter().all(under_way) {
        query.text.push_str(&format!(" and {UNFINISHED}"));
    }
    if !filter.statuses.is_empty() {
        let any = vec!["?"; filter.statuses.len()].join(", ");
        query.text.push_str(&format!(
            " and case when aside_code is null or state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') then state \
             else 'ATTENTION' end in ({any})"
        ));
        let states = filter.statuses.iter().map(|status| status.as_str().to_owned().into());
        query.values.extend(states);
    }
    if !filter.definition.is_empty() {
        query.and("definition = ?", filter.definition.clone());
    }
    if !filter.key.is_empty() {
        query.and("key = ?", filter.key.clone());
    }
    if let Some(instant) = filter.started_after {
        query.and("created_at >= ?", rows::millis(instant));
    }
    if let Some(instant) = filter.started_before {
        query.and("created_at < ?", rows::millis(instant));
    }
    query.text.push_str(" order by id desc limit ?");
    query.values.push(limit.into());
    connection.all(&query.text, params_from_iter(query.values), rows::listed)
}

/// A statement as its conditions are added, each with the value of its `?`.
struct Query {
    text: String,
    values: Vec<Value>,
}

impl Query {
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.text.push_str(" and ");
        self.text.push_str(condition);
        self.values.push(value.into());
    }
}

pub(super) fn definitions(connection: &Connection) -> Result<Vec<Definition>, Error> {
    connection.all(DEFINITIONS, [], rows::definition)
}
