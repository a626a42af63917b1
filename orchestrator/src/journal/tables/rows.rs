//! Between rows and what they stand for.

use bytes::Bytes;
use clock::Timestamp;
use proto::facade::v1::Reason::JournalUnreadable;
use saga::{Reason, Status};
use store::Row;

pub(super) use store::millis;

use crate::journal::{
    Entry, Error, Header, IndexRow, Link, NamedCause, Number, Standing, StateRecord,
};

/// The bits of a record's place that are its sequence number. A saga that comes to so many records has been tried again
/// for a year; the numbers of the sagas last for 28 years of 10,000 a second.
pub(in crate::journal) const SEQ_BITS: u32 = 20;

const LAST_SEQ: i64 = (1 << SEQ_BITS) - 1;

/// Where the record stands; `None` where a saga cannot have so many.
pub(super) fn place(Number(number): Number, seq: u64) -> Option<i64> {
    let seq = i64::try_from(seq).ok().filter(|seq| *seq <= LAST_SEQ)?;
    Some(number << SEQ_BITS | seq)
}

/// The saga of the record that stands there.
pub(super) fn number(place: i64) -> Number {
    Number(place >> SEQ_BITS)
}

/// Where a saga's first record stands, and the last that it could have.
pub(super) fn places(Number(number): Number) -> (i64, i64) {
    (number << SEQ_BITS, number << SEQ_BITS | LAST_SEQ)
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, Error> {
    let millis: i64 = row.get(column)?;
    Ok(Timestamp(u64::try_from(millis).unwrap_or_default()))
}

pub(super) fn blob(row: &Row<'_>, column: usize) -> Result<Bytes, Error> {
    Ok(row.bytes(column)?.into())
}

pub(super) fn version(row: &Row<'_>, column: usize) -> Result<u32, Error> {
    let version: i64 = row.get(column)?;
    u32::try_from(version).map_err(|_| Error::Unreadable(format!("version {version}")))
}

/// A row of the table of sagas, its columns in the order in which the queries name them. One that makes no sense stands
/// aside: it must not hide the others.
pub(super) fn index_row_with_request(row: &Row<'_>) -> Result<IndexRow, Error> {
    let header = header(row).and_then(|header| Ok(Header { request: blob(row, 19)?, ..header }));
    index_row_with_header(row, header)
}

/// The same of a row that is read without its last column, the request.
pub(super) fn index_row(row: &Row<'_>) -> Result<IndexRow, Error> {
    index_row_with_header(row, header(row))
}

fn index_row_with_header(row: &Row<'_>, header: Result<Header, Error>) -> Result<IndexRow, Error> {
    let standing = standing(row);
    let why = [header.as_ref().err(), standing.as_ref().err()];
    let damage: Vec<String> =
        why.into_iter().flatten().map(|error| facade::wire::causes(error)).collect();
    let asleep_until: Option<i64> = row.get(18)?;
    let (standing, updated_at, state_record, aside) = standing.unwrap_or((
        Standing { status: Status::Attention, why: None },
        Timestamp::default(),
        None,
        None,
    ));
    let damaged = || {
        Reason::new(
            JournalUnreadable.code(),
            format!("its row in the index makes no sense: {}", damage.join("; ")),
        )
    };
    Ok(IndexRow {
        number: Number(row.get(12)?),
        header: match header {
            Ok(header) => header,
            Err(_) => damaged_header(row)?,
        },
        standing,
        updated_at,
        state_record,
        asleep_until: asleep_until.map(|until| Timestamp(until.unsigned_abs())),
        aside: if damage.is_empty() { aside } else { Some(damaged()) },
    })
}

/// The header of a row, without the request.
fn header(row: &Row<'_>) -> Result<Header, Error> {
    Ok(Header {
        saga_id: row.get(0)?,
        definition_hash: row.get(1)?,
        definition: row.get(2)?,
        version: version(row, 3)?,
        key: row.get(4)?,
        request: Bytes::new(),
        trace: row.get(5)?,
        deadline: timestamp(row, 6)?,
        created_at: timestamp(row, 7)?,
    })
}

/// The header of a damaged row, for a person to see: nothing runs by it.
fn damaged_header(row: &Row<'_>) -> Result<Header, Error> {
    Ok(Header {
        saga_id: row.get(0)?,
        definition_hash: row.get(1).unwrap_or_default(),
        definition: row.get(2).unwrap_or_default(),
        version: version(row, 3).unwrap_or_default(),
        key: row.get(4).unwrap_or_default(),
        request: Bytes::new(),
        trace: row.get(5).unwrap_or_default(),
        deadline: timestamp(row, 6).unwrap_or_default(),
        created_at: timestamp(row, 7).unwrap_or_default(),
    })
}

type StandingColumns = (Standing, Timestamp, Option<StateRecord>, Option<Reason>);

fn standing(row: &Row<'_>) -> Result<StandingColumns, Error> {
    let state: String = row.get(9)?;
    let status =
        Status::from_name(&state).ok_or_else(|| Error::Unreadable(format!("state {state:?}")))?;
    let (code, message): (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
    let aside = code.map(|code| Reason::new(code, message.unwrap_or_default()));
    let standing = Standing { status, why: why(row, [15, 16, 17])? };
    Ok((standing, timestamp(row, 8)?, state_record(row)?, aside))
}

/// Why a saga stands as it does; the columns of its code, message and step.
pub(super) fn why(
    row: &Row<'_>,
    [code, message, step]: [usize; 3],
) -> Result<Option<NamedCause>, Error> {
    let code: Option<String> = row.get(code)?;
    let (message, step): (Option<String>, Option<String>) = (row.get(message)?, row.get(step)?);
    Ok(code.map(|code| NamedCause {
        reason: Reason::new(code, message.unwrap_or_default()),
        step: step.unwrap_or_default(),
    }))
}

fn state_record(row: &Row<'_>) -> Result<Option<StateRecord>, Error> {
    let Some(seq) = row.get::<Option<i64>>(13)? else { return Ok(None) };
    let link = link(&row.bytes(14)?)?;
    Ok(Some(StateRecord { seq: seq.unsigned_abs(), link }))
}

fn link(bytes: &[u8]) -> Result<Link, Error> {
    Link::read(bytes).ok_or_else(|| Error::Unreadable(format!("a link of {} bytes", bytes.len())))
}

pub(super) fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let place: i64 = row.get(0)?;
    Ok(Entry {
        seq: (place & LAST_SEQ).unsigned_abs(),
        at: timestamp(row, 1)?,
        record: blob(row, 2)?,
        link: link(&row.bytes(3)?)?,
    })
}
