//! The idempotency keys, which outlive their sagas, and the removal of both.

use bytes::Bytes;
use clock::Timestamp;
use facade::Trace;
use proto::facade::v1::Reason::JournalUnreadable;
use saga::{Event, Reason, Status};
use sha2::{Digest, Sha256};
use store::{Connection, Row, retention::Keep};

use super::{query, rows};
use crate::journal::{Ending, Error, Header, NamedCause, Number, RemovedSaga, Started, record};

const CLAIM_KEY: &str = "
    insert into saga_key (key, definition, request_hash, saga_id) values (?1, ?2, ?3, ?4)
    on conflict (key, definition) do nothing";

const FIND_KEY: &str =
    "select request_hash, saga_id, ending from saga_key where key = ?1 and definition = ?2";

const KEEP_ENDING: &str =
    "update saga_key set ending = ?3, until = ?4 where key = ?1 and definition = ?2";

// The condition of the partial index, word for word.
const OLDEST_ENDED: &str = "
    select number, key, definition, state, updated_at, state_seq, reason_code, reason_message, reason_step, trace
    from saga
    where (state = 'SUCCEEDED' or state = 'COMPENSATED' or state = 'RESOLVED') and updated_at < ?1
    order by updated_at
    limit ?2";

const REMOVE_EVENTS: &str = "delete from event where place between ?1 and ?2";

const REMOVE_SAGA: &str = "delete from saga where number = ?1";

const OLDEST_KEYS: &str = "
    select key, definition from saga_key where until is not null and until < ?1 order by until limit ?2";

const REMOVE_KEY: &str = "delete from saga_key where key = ?1 and definition = ?2";

pub(super) fn hash(request: &[u8]) -> [u8; 32] {
    Sha256::digest(request).into()
}

/// Claims the key of a new saga; false where another start has claimed it.
pub(super) fn claim(
    connection: &Connection,
    header: &Header,
    request_hash: &[u8],
) -> Result<bool, Error> {
    let Header { key, definition, saga_id, .. } = header;
    Ok(connection.execute(CLAIM_KEY, (key, definition, request_hash, saga_id))? == 1)
}

/// What the earlier start that claimed the key came to, where there was one.
pub(super) fn earlier_start(
    connection: &Connection,
    header: &Header,
    request_hash: &[u8],
) -> Result<Option<Started>, Error> {
    let Header { key, definition, .. } = header;
    let Some(key_row) = connection.optional(FIND_KEY, (key, definition), read_key_row)? else {
        return Ok(None);
    };
    if key_row.request_hash != request_hash {
        return Ok(Some(Started::KeyReused));
    }
    Ok(Some(match key_row.removed_saga(key)? {
        Ok(removed) => Started::Removed(removed),
        Err(saga_id) => Started::Already { saga_id },
    }))
}

/// The removed saga whose ending is kept under this key.
pub(super) fn removed_saga(
    connection: &Connection,
    definition: &str,
    key: &str,
) -> Result<Option<RemovedSaga>, Error> {
    let key_row = connection.optional(FIND_KEY, (key, definition), read_key_row)?;
    Ok(key_row.map(|key_row| key_row.removed_saga(key)).transpose()?.and_then(Result::ok))
}

/// The row of a claimed key.
struct KeyRow {
    request_hash: Vec<u8>,
    saga_id: String,
    ending: Option<Vec<u8>>,
}

fn read_key_row(row: &Row<'_>) -> Result<KeyRow, Error> {
    Ok(KeyRow { request_hash: row.bytes(0)?, saga_id: row.get(1)?, ending: row.get(2)? })
}

impl KeyRow {
    /// The ending of its saga where that was removed; otherwise, as the error, the saga's id.
    fn removed_saga(self, key: &str) -> Result<Result<RemovedSaga, String>, Error> {
        let Self { saga_id, ending, .. } = self;
        let Some(ending) = ending else { return Ok(Err(saga_id)) };
        let ending = Ending::decode(&ending)
            .ok_or_else(|| Error::Unreadable(format!("the key {key:?} keeps no ending")))?;
        Ok(Ok(RemovedSaga { saga_id, ending }))
    }
}

/// A saga that has ended, as its removal needs it.
struct EndedSaga {
    number: Number,
    key: String,
    definition: String,
    at: Timestamp,
    ending: Ending,
}

/// How many sagas were removed.
pub(super) fn remove_ended(
    connection: &Connection,
    before: Timestamp,
    keep_keys: Keep,
    limit: u32,
) -> Result<u64, Error> {
    let oldest = (rows::millis(before), limit);
    let ended = connection.all(OLDEST_ENDED, oldest, |row| read_ended(connection, row))?;
    for EndedSaga { number, key, definition, at, ending } in &ended {
        let until = rows::millis(keep_keys.until(*at));
        connection.execute(KEEP_ENDING, (key, definition, ending.encode(), until))?;
        connection.execute(REMOVE_EVENTS, rows::places(*number))?;
        connection.execute(REMOVE_SAGA, [number.0])?;
    }
    Ok(ended.len().try_into().unwrap_or(u64::MAX))
}

fn read_ended(connection: &Connection, row: &Row<'_>) -> Result<EndedSaga, Error> {
    let number = Number(row.get(0)?);
    let state: String = row.get(3)?;
    let status =
        Status::from_name(&state).ok_or_else(|| Error::Unreadable(format!("state {state:?}")))?;
    let trace: String = row.get(9)?;
    let trace_id = Trace::id_of(&trace).to_owned();
    let mut ending =
        Ending { status, reply: Bytes::new(), why: rows::why(row, [6, 7, 8])?, trace_id };
    if status == Status::Succeeded {
        match reply(connection, number, row.get(5)?)? {
            Some(reply) => ending.reply = reply,
            // Its last record is damaged: whoever repeats the start must not take the reply for an empty one.
            None => ending.why = Some(unreadable()),
        }
    }
    let at = rows::timestamp(row, 4)?;
    Ok(EndedSaga { number, key: row.get(1)?, definition: row.get(2)?, at, ending })
}

fn unreadable() -> NamedCause {
    let sentence = "the record that ended the saga could not be read when the saga was removed";
    NamedCause { reason: Reason::new(JournalUnreadable.code(), sentence), step: String::new() }
}

/// The reply of a saga that succeeded, which stands in its last record; `None` where that cannot be read.
fn reply(
    connection: &Connection,
    number: Number,
    seq: Option<i64>,
) -> Result<Option<Bytes>, Error> {
    let Some(seq) = seq.map(i64::unsigned_abs) else { return Ok(None) };
    let last = match query::entry(connection, number, seq) {
        Ok(last) => last,
        Err(Error::Unreadable(_)) => None,
        Err(error) => return Err(error),
    };
    let record = last.and_then(|last| record::decode(&last).ok());
    Ok(record.and_then(|record| match record.event {
        Event::Finished { reply, .. } => Some(reply),
        _ => None,
    }))
}

/// How many keys were removed.
pub(super) fn remove(connection: &Connection, now: Timestamp, limit: u32) -> Result<u64, Error> {
    let read = |row: &Row<'_>| Ok::<(String, String), Error>((row.get(0)?, row.get(1)?));
    let old = connection.all(OLDEST_KEYS, (rows::millis(now), limit), read)?;
    for key in &old {
        connection.execute(REMOVE_KEY, (&key.0, &key.1))?;
    }
    Ok(old.len().try_into().unwrap_or(u64::MAX))
}
