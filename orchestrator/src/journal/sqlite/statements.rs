//! The journal's writes, many rows a statement.
//!
//! The numbers of rows are powers of two, so that there are few distinct statements and each is prepared once.

use std::collections::HashSet;

use clock::Timestamp;
use saga::{Reason, Status};
use sha2::{Digest, Sha256};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::rows;
use crate::journal::{Definition, Entry, Error, Header, Readmit, Started, group_commit::Write};

/// Rows in one statement at most.
const ROWS: usize = 64;

/// Writes the batch; one outcome for each write.
///
/// # Errors
/// The whole batch fails, and nothing of it is kept.
pub(crate) async fn write_all(
    connection: &mut SqliteConnection,
    writes: &[Write],
) -> Result<Vec<Started>, Error> {
    let headers: Vec<&Header> = writes.iter().filter_map(|write| write.header.as_ref()).collect();
    let new = insert_sagas(connection, &headers).await?;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        outcomes.push(match &write.header {
            Some(header) if !new.contains(&header.saga_id) => earlier(connection, header).await?,
            _ => Started::New,
        });
    }
    let kept = || {
        writes
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| **outcome == Started::New)
            .map(|(write, _)| write)
    };
    let events: Vec<(&str, &Entry)> = kept()
        .flat_map(|write| write.entries.iter().map(|entry| (write.saga_id.as_str(), entry)))
        .collect();
    insert_events(connection, &events).await?;
    let statuses: Vec<(&Write, Status)> =
        kept().filter_map(|write| Some((write, write.status?))).collect();
    set_statuses(connection, &statuses).await?;
    Ok(outcomes)
}

/// Inserts the sagas whose definition and key are new; gives the ids of those.
async fn insert_sagas(
    connection: &mut SqliteConnection,
    headers: &[&Header],
) -> Result<HashSet<String>, Error> {
    let mut new = HashSet::new();
    for some in chunks(headers) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "insert into saga (id, definition_hash, definition, version, key, request, request_hash, trace, \
             deadline, created_at, updated_at, state) ",
        );
        insert.push_values(some, |mut row, header| {
            row.push_bind(&header.saga_id)
                .push_bind(&header.definition_hash)
                .push_bind(&header.definition)
                .push_bind(i64::from(header.version))
                .push_bind(&header.key)
                .push_bind(header.request.as_ref())
                .push_bind(request_hash(header))
                .push_bind(&header.trace)
                .push_bind(rows::millis(header.deadline))
                .push_bind(rows::millis(header.created_at))
                .push_bind(rows::millis(header.created_at))
                .push_bind(Status::Running.as_str());
        });
        insert.push(" on conflict (definition, key) do nothing returning id");
        for row in insert.build().fetch_all(&mut *connection).await? {
            new.insert(row.try_get("id")?);
        }
    }
    Ok(new)
}

/// What an earlier start under the header's key means for this one.
async fn earlier(connection: &mut SqliteConnection, header: &Header) -> Result<Started, Error> {
    let row = sqlx::query("select id, request_hash from saga where definition = $1 and key = $2")
        .bind(&header.definition)
        .bind(&header.key)
        .fetch_one(connection)
        .await?;
    let hash: Vec<u8> = row.try_get("request_hash")?;
    Ok(match hash == request_hash(header) {
        true => Started::Already { saga_id: row.try_get("id")? },
        false => Started::KeyReused,
    })
}

fn request_hash(header: &Header) -> Vec<u8> {
    Sha256::digest(&header.request).to_vec()
}

/// Fails where a record stands at one of the positions already.
async fn insert_events(
    connection: &mut SqliteConnection,
    events: &[(&str, &Entry)],
) -> Result<(), Error> {
    for some in chunks(events) {
        let mut insert =
            QueryBuilder::<Sqlite>::new("insert into event (saga_id, seq, at, record, link) ");
        insert.push_values(some, |mut row, (saga_id, entry)| {
            row.push_bind(*saga_id)
                .push_bind(rows::position(entry.seq))
                .push_bind(rows::millis(entry.at))
                .push_bind(entry.record.as_ref())
                .push_bind(entry.link.0.to_vec());
        });
        insert.build().execute(&mut *connection).await.map_err(|error| taken(error, some))?;
    }
    Ok(())
}

fn taken(error: sqlx::Error, events: &[(&str, &Entry)]) -> Error {
    match (&error, events) {
        (sqlx::Error::Database(database), [(saga_id, first), ..])
            if database.is_unique_violation() =>
        {
            Error::Taken { saga_id: (*saga_id).to_owned(), seq: first.seq }
        }
        _ => error.into(),
    }
}

async fn set_statuses(
    connection: &mut SqliteConnection,
    writes: &[(&Write, Status)],
) -> Result<(), Error> {
    for some in chunks(writes) {
        let mut update = QueryBuilder::<Sqlite>::new(
            "update saga set state = changed.column2, updated_at = changed.column3 from (",
        );
        update.push_values(some, |mut row, (write, status)| {
            let at = write.entries.last().map_or(0, |entry| rows::millis(entry.at));
            row.push_bind(&write.saga_id).push_bind(status.as_str()).push_bind(at);
        });
        update.push(") as changed where saga.id = changed.column1");
        update.build().execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn set_aside(
    connection: &mut SqliteConnection,
    saga_id: &str,
    why: &Reason,
) -> Result<(), Error> {
    sqlx::query("update saga set aside_code = $1, aside_message = $2 where id = $3")
        .bind(&why.code)
        .bind(&why.message)
        .bind(saga_id)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn readmit(
    connection: &mut SqliteConnection,
    which: &Readmit,
) -> Result<(), Error> {
    let mut update = QueryBuilder::<Sqlite>::new(
        "update saga set aside_code = null, aside_message = null \
         where state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') and ",
    );
    match which {
        Readmit::Saga(saga_id) => update.push("id = ").push_bind(saga_id),
        Readmit::Reason(code) => update.push("aside_code = ").push_bind(code),
    };
    update.build().execute(connection).await?;
    Ok(())
}

pub(super) async fn close_aside(
    connection: &mut SqliteConnection,
    saga_id: &str,
    why: &Reason,
    at: Timestamp,
) -> Result<bool, Error> {
    // What it stood aside for stays readable behind the person's words.
    let update = "update saga set state = 'RESOLVED', updated_at = $1, aside_code = $2, \
                  aside_message = $3 || ' (it stood aside: ' || aside_message || ')' \
                  where id = $4 and aside_code is not null \
                  and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";
    let updated = sqlx::query(update)
        .bind(rows::millis(at))
        .bind(&why.code)
        .bind(&why.message)
        .bind(saga_id)
        .execute(connection)
        .await?;
    Ok(updated.rows_affected() > 0)
}

pub(super) async fn register(
    connection: &mut SqliteConnection,
    definition: Definition,
) -> Result<Definition, Error> {
    sqlx::query(
        "insert into definition (hash, name, version, source, file, descriptors, registered_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(&definition.hash)
    .bind(&definition.name)
    .bind(i64::from(definition.version))
    .bind(&definition.source)
    .bind(&definition.file)
    .bind(definition.descriptors.as_ref())
    .bind(rows::millis(definition.registered_at))
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query(
        "select hash, name, version, source, file, descriptors, registered_at from definition \
         where name = $1 and version = $2",
    )
    .bind(&definition.name)
    .bind(i64::from(definition.version))
    .fetch_one(connection)
    .await?;
    rows::definition(&row)
}

/// Cuts into pieces whose lengths are powers of two, [`ROWS`] at most.
fn chunks<T>(mut rest: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = match rest.len() {
            0 => return None,
            length => 1 << length.ilog2(),
        };
        let (chunk, remainder) = rest.split_at(length.min(ROWS));
        rest = remainder;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_lose_nothing() {
        let all: Vec<usize> = (0..205).collect();
        let pieces: Vec<&[usize]> = chunks(&all).collect();
        assert_eq!(
            pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
            [64, 64, 64, 8, 4, 1]
        );
        assert_eq!(pieces.concat(), all);
    }
}
