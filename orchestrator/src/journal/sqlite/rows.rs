//! Between rows and what they stand for.

use bytes::Bytes;
use clock::Timestamp;
use proto::facade::v1::Reason::JournalUnreadable;
use saga::{Reason, Status};
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

/// A row of the table of sagas. One that makes no sense stands aside: it must not hide the others.
pub(super) fn listed(row: &SqliteRow) -> Result<Listed, Error> {
    let header = header(row);
    let standing = standing(row);
    let why = [header.as_ref().err(), standing.as_ref().err()];
    let damage: Vec<String> =
        why.into_iter().flatten().map(|error| facade::wire::causes(error)).collect();
    let (status, updated_at, aside) =
        standing.unwrap_or((Status::Attention, Timestamp::default(), None));
    let damaged = || {
        Reason::new(
            JournalUnreadable.code(),
            format!("its row in the index makes no sense: {}", damage.join("; ")),
        )
    };
    Ok(Listed {
        header: match header {
            Ok(header) => header,
            Err(_) => what_is_left_of(row)?,
        },
        status,
        updated_at,
        aside: if damage.is_empty() { aside } else { Some(damaged()) },
    })
}

fn header(row: &SqliteRow) -> Result<Header, Error> {
    Ok(Header {
        saga_id: row.try_get("id")?,
        definition_hash: row.try_get("definition_hash")?,
        definition: row.try_get("definition")?,
        version: version(row)?,
        key: row.try_get("key")?,
        request: blob(row, "request")?,
        trace: row.try_get("trace")?,
        deadline: timestamp(row, "deadline")?,
        created_at: timestamp(row, "created_at")?,
    })
}

/// The header of a damaged row, for a person to see: nothing runs by it.
fn what_is_left_of(row: &SqliteRow) -> Result<Header, Error> {
    Ok(Header {
        saga_id: row.try_get("id")?,
        definition_hash: row.try_get("definition_hash").unwrap_or_default(),
        definition: row.try_get("definition").unwrap_or_default(),
        version: version(row).unwrap_or_default(),
        key: row.try_get("key").unwrap_or_default(),
        request: Bytes::new(),
        trace: row.try_get("trace").unwrap_or_default(),
        deadline: timestamp(row, "deadline").unwrap_or_default(),
        created_at: timestamp(row, "created_at").unwrap_or_default(),
    })
}

fn standing(row: &SqliteRow) -> Result<(Status, Timestamp, Option<Reason>), Error> {
    let state: String = row.try_get("state")?;
    let status =
        Status::from_name(&state).ok_or_else(|| Error::Unreadable(format!("state {state:?}")))?;
    let code: Option<String> = row.try_get("aside_code")?;
    let message: Option<String> = row.try_get("aside_message")?;
    let aside = code.map(|code| Reason::new(code, message.unwrap_or_default()));
    Ok((status, timestamp(row, "updated_at")?, aside))
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
