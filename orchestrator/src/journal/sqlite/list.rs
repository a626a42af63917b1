//! Lists of sagas, newest first. Each condition goes by an index, so that a page costs what it shows and not what is
//! stored.

use clock::Timestamp;
use rusqlite::{params_from_iter, types::Value};
use saga::Status;
use store::sqlite::Connection;

use super::rows;
use crate::journal::{Error, Filter, Listed};

// Without the request, which no list shows and which may be megabytes.
const COLUMNS: &str = "
    select saga.id, definition_hash, saga.definition, version, saga.key, x'', trace, deadline, created_at, updated_at,
           state, aside_code, aside_message, number, state_seq, state_link, reason_code, reason_message, reason_step
    from ";

// The conditions of the partial indexes, word for word.
const UNFINISHED: &str = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null";
const ASIDE: &str = "aside_code is not null and state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";
const UNDONE: &str = "(state = 'COMPENSATED' or state = 'RESOLVED')";

/// At most `limit` sagas that started before the saga `before` (empty: all).
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    before: &str,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let mut listed = Vec::new();
    for mut query in sources(filter) {
        if !before.is_empty() {
            query.and("saga.id < ?", before.to_owned());
        }
        if !filter.definition.is_empty() {
            query.and("saga.definition = ?", filter.definition.clone());
        }
        // An id begins with the instant of the saga's start.
        if let Some(instant) = filter.started_after {
            query.and("saga.id >= ?", first_id_at(instant));
        }
        if let Some(instant) = filter.started_before {
            query.and("saga.id < ?", first_id_at(instant));
        }
        query.text.push_str(" order by saga.id desc limit ?");
        query.values.push(limit.into());
        listed.extend(connection.all(&query.text, params_from_iter(query.values), rows::listed)?);
    }
    listed.sort_by(|one: &Listed, other| other.header.saga_id.cmp(&one.header.saga_id));
    // A state that is asked for twice.
    listed.dedup_by(|one, other| one.number == other.number);
    listed.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(listed)
}

/// Queries that give every saga of these states under this key, each in the order of an index.
fn sources(filter: &Filter) -> Vec<Query> {
    if !filter.key.is_empty() {
        return vec![by_key(filter)];
    }
    if filter.statuses.is_empty() {
        return vec![by_start(filter)];
    }
    let mut sources = Vec::new();
    for status in &filter.statuses {
        match status {
            Status::Succeeded => sources.push(by_start(filter).with_state(*status)),
            Status::Compensated | Status::Resolved => {
                sources.push(Query::on("saga_undone", UNDONE).with_state(*status));
            }
            Status::Running | Status::Compensating | Status::Paused | Status::Attention => {
                sources.push(Query::on("saga_unfinished", UNFINISHED).with_state(*status));
            }
        }
    }
    if filter.statuses.contains(&Status::Attention) {
        sources.push(Query::on("saga_aside", ASIDE));
    }
    sources
}

/// All sagas, or all of one definition.
fn by_start(filter: &Filter) -> Query {
    match filter.definition.is_empty() {
        true => Query { text: format!("{COLUMNS} saga where true"), values: Vec::new() },
        false => Query::on("saga_by_definition", "true"),
    }
}

/// The few sagas under one key, at most one a definition.
fn by_key(filter: &Filter) -> Query {
    let text = format!(
        "{COLUMNS} saga_key cross join saga on saga.id = saga_key.saga_id where saga_key.key = ?"
    );
    let mut query = Query { text, values: vec![filter.key.clone().into()] };
    if !filter.statuses.is_empty() {
        let any = vec!["?"; filter.statuses.len()].join(", ");
        query.text.push_str(&format!(
            " and case when aside_code is null or state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') then state \
             else 'ATTENTION' end in ({any})"
        ));
        let states = filter.statuses.iter().map(|status| status.as_str().to_owned().into());
        query.values.extend(states);
    }
    query
}

/// What stands before every id of a saga that was started at `instant` or later.
fn first_id_at(Timestamp(ms): Timestamp) -> String {
    // The first 48 bits of a UUID of version 7 are the milliseconds.
    let ms = ms.min((1 << 48) - 1);
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}

/// A statement as its conditions are added, each with the value of its `?`.
struct Query {
    text: String,
    values: Vec<Value>,
}

impl Query {
    /// By this index alone: SQLite keeps no statistics here, and would guess.
    fn on(index: &str, condition: &str) -> Self {
        let text = format!("{COLUMNS} saga indexed by {index} where {condition}");
        Self { text, values: Vec::new() }
    }

    fn with_state(mut self, status: Status) -> Self {
        self.and("state = ?", status.as_str().to_owned());
        self
    }

    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.text.push_str(" and ");
        self.text.push_str(condition);
        self.values.push(value.into());
    }
}
