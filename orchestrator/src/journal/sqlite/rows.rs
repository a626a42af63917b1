//! Between rows and what they stand for.

use bytes::Bytes;
use clock::Timestamp;
use saga::Status;
use sqlx::{Row, sqlite::SqliteRow};

use crate::journal::{Definition, Entry, Error, Header, Link, Listed};

/// Milliseconds as the database holds them.
pub(super) fn millis(timestamp: Timestamp) -> i64 {
    i64::try_from(timestamp.0).unwrap_or(i64::MAX)
}

pub(super) fn position(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn timestamp(row: &SqliteRow, column: &str) -> Result<Timestamp, Error> {
    let millis: i64 = row.try_get(column)?;
    Ok(Timestamp(u64::try_from(millis).unwrap_or_default()))
}

fn blob(row: &SqliteRow, column: &str) -> Result<Bytes, Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Ok(bytes.into())
}

fn version(row: &SqliteRow) -> Result<u32, Error> {
    let version: i64 = row.try_get("version")?;
    u32::try_from(version).map_err(|_| Error::Unreadable(format!("version {version}")))
}

pub(super) fn header(row: &SqliteRow) -> Result<Header, Error> {
    Ok(Header {
        saga_id: row.try_get("id")?,
        definition_hash: row.try_get("definition_hash")?,
        definition: row.try_get("definition")?,
        version: version(row)?,
        key: row.try_get("key")?,
        request: blob(row, "request")?,
        trace_id: row.try_get("trace_id")?,
        deadline: timestamp(row, "deadline")?,
        created_at: timestamp(row, "created_at")?,
    })
}

pub(super) fn listed(row: &SqliteRow) -> Result<Listed, Error> {
    let state: String = row.try_get("state")?;
    Ok(Listed {
        header: header(row)?,
        status: Status::from_name(&state)
            .ok_or_else(|| Error::Unreadable(format!("state {state:?}")))?,
        updated_at: timestamp(row, "updated_at")?,
        unreadable: row.try_get("unreadable")?,
    })
}

pub(super) fn entry(row: &SqliteRow) -> Result<Entry, Error> {
    let seq: i64 = row.try_get("seq")?;
    let link: Vec<u8> = row.try_get("link")?;
    Ok(Entry {
        seq: u64::try_from(seq).map_err(|_| Error::Unreadable(format!("seq {seq}")))?,
        at: timestamp(row, "at")?,
        record: blob(row, "record")?,
        link: Link::read(&link)
            .ok_or_else(|| Error::Unreadable(format!("a link of {} bytes", link.len())))?,
    })
}

pub(super) fn definition(row: &SqliteRow) -> Result<Definition, Error> {
    Ok(Definition {
        hash: row.try_get("hash")?,
        name: row.try_get("name")?,
        version: version(row)?,
        source: row.try_get("source")?,
        file: row.try_get("file")?,
        descriptors: blob(row, "descriptors")?,
        registered_at: timestamp(row, "registered_at")?,
    })
}
