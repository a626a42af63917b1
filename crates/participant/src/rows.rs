//! The inbox's three statements.

use store::{Connection, Error, Row as Found, millis};

use crate::{
    key::Key,
    request::Fingerprint,
    table::{Columns, Content, Row},
};

const IS_TAKEN: &str = "select 1 from inbox where key = ?1";

const FIND: &str = "
    select request_hash, kind, answer, reason, message, trace_id, at
    from inbox
    where key = ?1";

const SETTLE: &str = "
    insert into inbox (key, request_hash, kind, answer, reason, message, trace_id, at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Takes `key` for the running work, or answers false where there is a row of it. Where another transaction has taken it,
/// that one's end is waited for. That is what makes a call and its undo, or two deliveries of one call, take turns.
pub(crate) fn claim(connection: &Connection, key: &Key) -> Result<bool, Error> {
    let key = key.text();
    connection.lock(&key)?;
    Ok(connection.optional(IS_TAKEN, [key], |_| Ok::<_, Error>(()))?.is_none())
}

/// The row of `key`.
pub(crate) fn find(connection: &Connection, key: &Key) -> Result<Option<Row>, Error> {
    connection.optional(FIND, [key.text()], |found| row(key, found))
}

/// Writes the row of `key`, which the running work has claimed.
pub(crate) fn settle(connection: &Connection, key: &Key, row: &Row) -> Result<(), Error> {
    let Columns { kind, answer, reason, message } = row.content.columns();
    let request_hash = row.fingerprint.as_ref().map(|fingerprint| &fingerprint.0);
    let at = millis(row.at);
    let values = (key.text(), request_hash, kind, answer, reason, message, &row.trace_id, at);
    connection.execute(SETTLE, values).map(drop)
}

fn row(key: &Key, found: &Found<'_>) -> Result<Row, Error> {
    let request_hash: Option<Vec<u8>> = found.get(0)?;
    let fingerprint = request_hash
        .map(|hash| hash.try_into().map(Fingerprint))
        .transpose()
        .map_err(|_| unreadable(key, "its request hash is not 32 bytes long"))?;
    let (kind, answer): (String, Option<Vec<u8>>) = (found.get(1)?, found.get(2)?);
    let (reason, message): (Option<String>, Option<String>) = (found.get(3)?, found.get(4)?);
    let columns = Columns {
        kind: &kind,
        answer: answer.as_deref(),
        reason: reason.as_deref(),
        message: message.as_deref(),
    };
    let content = Content::of_columns(columns)
        .ok_or_else(|| unreadable(key, "its kind and its columns do not fit"))?;
    let at = found.instant(6)?.ok_or_else(|| unreadable(key, "it was written before 1970"))?;
    Ok(Row { fingerprint, content, trace_id: found.get(5)?, at })
}

fn unreadable(key: &Key, what: &'static str) -> Error {
    Error::Unreadable { key: key.text(), what }
}
