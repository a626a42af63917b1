//! The journal's reads.

use saga::Status;
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::rows;
use crate::journal::{Definition, Entry, Error, Filter, Listed};

const SAGA: &str = "select id, definition_hash, definition, version, key, request, trace, deadline, created_at, \
                    updated_at, state, aside_code, aside_message from saga where ";

/// The condition of the partial index, word for word: however many have ended, they are not looked at.
const UNFINISHED: &str =
    "state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') and aside_code is null";

pub(super) async fn find(pool: &SqlitePool, saga_id: &str) -> Result<Option<Listed>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new(SAGA);
    query.push("id = ").push_bind(saga_id);
    query.build().fetch_optional(pool).await?.as_ref().map(rows::listed).transpose()
}

pub(super) async fn entries(
    pool: &SqlitePool,
    saga_id: &str,
    from: u64,
) -> Result<Vec<Entry>, Error> {
    let query =
        "select seq, at, record, link from event where saga_id = $1 and seq >= $2 order by seq";
    let found = sqlx::query(query).bind(saga_id).bind(rows::position(from)).fetch_all(pool).await?;
    found.iter().map(rows::entry).collect()
}

pub(super) async fn unfinished(
    pool: &SqlitePool,
    after: &str,
    limit: u32,
) -> Result<Vec<Listed>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new(SAGA);
    query.push(UNFINISHED).push(" and id > ");
    query.push_bind(after).push(" order by id limit ").push_bind(i64::from(limit));
    query.build().fetch_all(pool).await?.iter().map(rows::listed).collect()
}

pub(super) async fn list(
    pool: &SqlitePool,
    filter: &Filter,
    before: &str,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let mut query = QueryBuilder::<Sqlite>::new(SAGA);
    query.push("true");
    if !before.is_empty() {
        query.push(" and id < ").push_bind(before);
    }
    let under_way = |status: &Status| !status.is_ended() && *status != Status::Attention;
    if !filter.statuses.is_empty() && filter.statuses.iter().all(under_way) {
        query.push(" and ").push(UNFINISHED);
    }
    if !filter.statuses.is_empty() {
        query.push(" and case when aside_code is null or state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') then state \
             else 'ATTENTION' end in (");
        let mut states = query.separated(", ");
        for status in &filter.statuses {
            states.push_bind(status.as_str());
        }
        query.push(")");
    }
    if !filter.definition.is_empty() {
        query.push(" and definition = ").push_bind(&filter.definition);
    }
    if !filter.key.is_empty() {
        query.push(" and key = ").push_bind(&filter.key);
    }
    if let Some(instant) = filter.started_after {
        query.push(" and created_at >= ").push_bind(rows::millis(instant));
    }
    if let Some(instant) = filter.started_before {
        query.push(" and created_at < ").push_bind(rows::millis(instant));
    }
    query.push(" order by id desc limit ").push_bind(limit);
    query.build().fetch_all(pool).await?.iter().map(rows::listed).collect()
}

pub(super) async fn definitions(pool: &SqlitePool) -> Result<Vec<Definition>, Error> {
    let query = "select hash, name, version, source, file, descriptors, registered_at from definition \
                 order by name, version desc";
    let found = sqlx::query(query).fetch_all(pool).await?;
    found.iter().map(rows::definition).collect()
}
