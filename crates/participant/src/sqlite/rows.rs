//! The inbox's three statements.

use clock::Timestamp;
use sqlx::SqliteConnection;

use crate::{
    key::Key,
    request::Fingerprint,
    store::{Columns, Error, Held, Row},
};

const INSERT: &str = "
    insert into inbox (key, request_hash, kind, answer, reason, message, trace_id, at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (key) do nothing";

const FIND: &str = "
    select request_hash, kind, answer, reason, message, trace_id, at
    from inbox
    where key = $1";

const SETTLE: &str = "
    update inbox
    set kind = $2, answer = $3, reason = $4, message = $5
    where key = $1 and kind = 'claimed'";

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    key: &Key,
    row: &Row,
) -> Result<bool, Error> {
    let columns = row.held.columns();
    let inserted = sqlx::query(INSERT)
        .bind(key.to_string())
        .bind(row.fingerprint.map(|fingerprint| fingerprint.0.to_vec()))
        .bind(columns.kind)
        .bind(columns.answer)
        .bind(columns.reason)
        .bind(columns.message)
        .bind(&row.trace_id)
        .bind(i64::try_from(row.at.0).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    key: &Key,
) -> Result<Option<Row>, Error> {
    let found: Option<Found> =
        sqlx::query_as(FIND).bind(key.to_string()).fetch_optional(connection).await?;
    found.map(|found| found.row(key)).transpose()
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    key: &Key,
    held: &Held,
) -> Result<(), Error> {
    let columns = held.columns();
    let settled = sqlx::query(SETTLE)
        .bind(key.to_string())
        .bind(columns.kind)
        .bind(columns.answer)
        .bind(columns.reason)
        .bind(columns.message)
        .execute(connection)
        .await?;
    if settled.rows_affected() != 1 {
        return Err(unreadable(key, "it was claimed and is not any more"));
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Found {
    request_hash: Option<Vec<u8>>,
    kind: String,
    answer: Option<Vec<u8>>,
    reason: Option<String>,
    message: Option<String>,
    trace_id: String,
    at: i64,
}

impl Found {
    fn row(self, key: &Key) -> Result<Row, Error> {
        let fingerprint = self
            .request_hash
            .map(|hash| hash.try_into().map(Fingerprint))
            .transpose()
            .map_err(|_| unreadable(key, "its request hash is not 32 bytes long"))?;
        let columns = Columns {
            kind: &self.kind,
            answer: self.answer.as_deref(),
            reason: self.reason.as_deref(),
            message: self.message.as_deref(),
        };
        let held = Held::of_columns(columns)
            .ok_or_else(|| unreadable(key, "its kind and its columns do not fit"))?;
        let at = u64::try_from(self.at).map(Timestamp);
        let at = at.map_err(|_| unreadable(key, "it was written before 1970"))?;
        Ok(Row { fingerprint, held, trace_id: self.trace_id, at })
    }
}

fn unreadable(key: &Key, what: &'static str) -> Error {
    Error::Unreadable { key: key.to_string(), what }
}
