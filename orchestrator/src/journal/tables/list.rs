//! Lists of sagas, newest first. Each condition goes by an index, so that a page costs what it shows and not what is
//! stored.

use clock::Timestamp;
use saga::Status;
use store::{Connection, Dialect, Value};

use super::rows;
use crate::journal::{Error, Filter, IndexRow};

// The request is left out: no list shows it, and it may be megabytes.
const COLUMNS: &str = "
    select saga.id, definition_hash, saga.definition, version, saga.key, trace, deadline, created_at, updated_at, state,
           aside_code, aside_message, number, state_seq, state_link, reason_code, reason_message, reason_step, asleep_until
    from ";

// The conditions of the partial indexes, word for word.
pub(super) const IS_UNFINISHED: &str = "state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED' and aside_code is null";
pub(super) const IS_ASIDE: &str = "aside_code is not null and state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";
const IS_UNDONE: &str = "(state = 'COMPENSATED' or state = 'RESOLVED')";

/// At most `limit` sagas that started before the saga `before` (empty: all).
pub(super) fn list(
    connection: &Connection,
    filter: &Filter,
    before: &str,
    limit: i64,
) -> Result<Vec<IndexRow>, Error> {
    // An id begins with the instant of the saga's start.
    let after = filter.started_after.map(first_id_at);
    let until = filter.started_before.map(first_id_at);
    let mut index_row = Vec::new();
    for mut query in sources(filter, connection.dialect()) {
        if !before.is_empty() {
            query.and("saga.id <", Value::Text(before));
        }
        if !filter.definition.is_empty() {
            query.and("saga.definition =", Value::Text(&filter.definition));
        }
        if let Some(after) = &after {
            query.and("saga.id >=", Value::Text(after));
        }
        if let Some(until) = &until {
            query.and("saga.id <", Value::Text(until));
        }
        query.text.push_str(" order by saga.id desc limit ");
        query.value(Value::Integer(limit));
        index_row.extend(connection.all(&query.text, &query.values[..], rows::index_row)?);
    }
    index_row.sort_by(|one: &IndexRow, other| other.header.saga_id.cmp(&one.header.saga_id));
    // Removes the duplicates of a state that is asked for twice.
    index_row.dedup_by(|one, other| one.number == other.number);
    index_row.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(index_row)
}

/// Queries that give every saga of these states under this key, each in the order of an index.
fn sources(filter: &Filter, dialect: Dialect) -> Vec<Query<'_>> {
    if !filter.key.is_empty() {
        return vec![by_key(filter)];
    }
    if filter.statuses.is_empty() {
        return vec![by_start(filter, dialect)];
    }
    let mut sources = Vec::new();
    for status in &filter.statuses {
        let source = match status {
            Status::Succeeded => by_start(filter, dialect),
            Status::Compensated | Status::Resolved => Query::on("saga_undone", IS_UNDONE, dialect),
            Status::Running | Status::Compensating | Status::Paused | Status::Attention => {
                Query::on("saga_unfinished", IS_UNFINISHED, dialect)
            }
        };
        sources.push(source.with_state(*status));
    }
    if filter.statuses.contains(&Status::Attention) {
        sources.push(Query::on("saga_aside", IS_ASIDE, dialect));
    }
    sources
}

/// All sagas, or all of one definition.
fn by_start(filter: &Filter, dialect: Dialect) -> Query<'_> {
    match filter.definition.is_empty() {
        true => Query::of(format!("{COLUMNS} saga where true")),
        false => Query::on("saga_by_definition", "true", dialect),
    }
}

/// The few sagas under one key, at most one a definition.
fn by_key(filter: &Filter) -> Query<'_> {
    // `cross` and not `inner`: SQLite then reads the tables in this order.
    let mut query =
        Query::of(format!("{COLUMNS} saga_key cross join saga where saga.id = saga_key.saga_id"));
    query.and("saga_key.key =", Value::Text(&filter.key));
    if !filter.statuses.is_empty() {
        query.text.push_str(
            " and case when aside_code is null or state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') then state \
             else 'ATTENTION' end in (",
        );
        for (place, status) in filter.statuses.iter().enumerate() {
            query.text.push_str(if place == 0 { "" } else { ", " });
            query.value(Value::Text(status.as_str()));
        }
        query.text.push(')');
    }
    query
}

/// What stands before every id of a saga that was started at `instant` or later.
fn first_id_at(Timestamp(ms): Timestamp) -> String {
    // The first 48 bits of a UUID of version 7 are the milliseconds.
    let ms = ms.min((1 << 48) - 1);
    format!("{:08x}-{:04x}", ms >> 16, ms & 0xffff)
}

/// A statement as its conditions are added, each with its value.
struct Query<'f> {
    text: String,
    values: Vec<Value<'f>>,
}

impl<'f> Query<'f> {
    fn of(text: String) -> Self {
        Self { text, values: Vec::new() }
    }

    /// A query that goes by this index.
    fn on(index: &str, condition: &str, dialect: Dialect) -> Self {
        Self::of(format!("{COLUMNS} saga{} where {condition}", dialect.indexed_by(index)))
    }

    fn with_state(mut self, status: Status) -> Self {
        self.and("state =", Value::Text(status.as_str()));
        self
    }

    fn and(&mut self, condition: &str, value: Value<'f>) {
        self.text.push_str(" and ");
        self.text.push_str(condition);
        self.text.push(' ');
        self.value(value);
    }

    fn value(&mut self, value: Value<'f>) {
        self.values.push(value);
        self.text.push_str(&format!("?{}", self.values.len()));
    }
}
