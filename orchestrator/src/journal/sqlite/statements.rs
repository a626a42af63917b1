//! The journal's writes, each inside a transaction that it may share with others.

use clock::Timestamp;
use participant::sqlite::{Connection, Row, is_taken};
use saga::{Reason, Status};
use sha2::{Digest, Sha256};

use super::rows;
use crate::journal::{Definition, Entry, Error, Header, Number, Readmit, Started};

const SAGA: &str = "
    insert into saga
        (id, definition_hash, definition, version, key, request, request_hash, trace, deadline, created_at,
         updated_at, state)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, 'RUNNING')
    on conflict (definition, key) do nothing";

const EARLIER: &str = "select id, request_hash from saga where definition = ?1 and key = ?2";

const EVENT: &str = "insert into event (place, at, record, link) values (?1, ?2, ?3, ?4)";

const STATUS: &str = "update saga set state = ?2, updated_at = ?3 where number = ?1";

const SET_ASIDE: &str = "update saga set aside_code = ?2, aside_message = ?3 where id = ?1";

const READMIT: &str = "
    update saga
    set aside_code = null, aside_message = null
    where id = ?1 and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";

const READMIT_ALL: &str = "
    update saga
    set aside_code = null, aside_message = null
    where aside_code = ?1 and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";

// What it stood aside for stays readable behind the person's words.
const CLOSE_ASIDE: &str = "
    update saga
    set state = 'RESOLVED', updated_at = ?2, aside_code = ?3,
        aside_message = ?4 || ' (it stood aside: ' || aside_message || ')'
    where id = ?1 and aside_code is not null
      and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";

// The condition of the partial index, word for word.
const OLDEST_ENDED: &str = "
    select number from saga
    where (state = 'SUCCEEDED' or state = 'COMPENSATED' or state = 'RESOLVED') and updated_at < ?1
    order by updated_at
    limit ?2";

const REMOVE_EVENTS: &str = "delete from event where place between ?1 and ?2";

const REMOVE_SAGA: &str = "delete from saga where number = ?1";

const REGISTER: &str = "
    insert into definition (hash, name, version, source, file, descriptors, registered_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    on conflict do nothing";

const REGISTERED: &str = "
    select hash, name, version, source, file, descriptors, registered_at
    from definition
    where name = ?1 and version = ?2";

/// Inserts the saga, unless its definition and key are there.
pub(super) fn start(connection: &Connection, header: &Header) -> Result<Started, Error> {
    let request_hash = Sha256::digest(&header.request);
    let values = (
        &header.saga_id,
        &header.definition_hash,
        &header.definition,
        header.version,
        &header.key,
        header.request.as_ref(),
        request_hash.as_slice(),
        &header.trace,
        rows::millis(header.deadline),
        rows::millis(header.created_at),
    );
    if connection.execute(SAGA, values)? == 1 {
        return Ok(Started::New(Number(connection.last_number())));
    }
    let earlier = |row: &Row<'_>| Ok::<(String, Vec<u8>), Error>((row.get(0)?, row.get(1)?));
    let (saga_id, hash) = connection.one(EARLIER, (&header.definition, &header.key), earlier)?;
    Ok(match hash == request_hash.as_slice() {
        true => Started::Already { saga_id },
        false => Started::KeyReused,
    })
}

/// Inserts the records and, where it changed, the state.
pub(super) fn append(
    connection: &Connection,
    saga: Number,
    entries: &[Entry],
    status: Option<Status>,
) -> Result<(), Error> {
    let mut event = connection.prepare(EVENT)?;
    for Entry { seq, at, record, link } in entries {
        let place = rows::place(saga, *seq).ok_or(Error::Full { seq: *seq })?;
        let values = (place, rows::millis(*at), record.as_ref(), link.0.as_slice());
        event.execute(values).map_err(|error| match is_taken(&error) {
            true => Error::Taken { seq: *seq },
            false => error.into(),
        })?;
    }
    let Some(status) = status else { return Ok(()) };
    let at = entries.last().map_or(0, |entry| rows::millis(entry.at));
    connection.execute(STATUS, (saga.0, status.as_str(), at))?;
    Ok(())
}

pub(super) fn set_aside(connection: &Connection, saga_id: &str, why: &Reason) -> Result<(), Error> {
    connection.execute(SET_ASIDE, (saga_id, &why.code, &why.message))?;
    Ok(())
}

pub(super) fn readmit(connection: &Connection, which: &Readmit) -> Result<(), Error> {
    match which {
        Readmit::Saga(saga_id) => connection.execute(READMIT, [saga_id])?,
        Readmit::Reason(code) => connection.execute(READMIT_ALL, [code])?,
    };
    Ok(())
}

/// Whether there was one to close.
pub(super) fn close_aside(
    connection: &Connection,
    saga_id: &str,
    why: &Reason,
    at: Timestamp,
) -> Result<bool, Error> {
    let values = (saga_id, rows::millis(at), &why.code, &why.message);
    Ok(connection.execute(CLOSE_ASIDE, values)? > 0)
}

/// How many sagas were removed.
pub(super) fn remove_ended(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, Error> {
    let oldest = (rows::millis(before), limit);
    let ended: Vec<i64> = connection.all(OLDEST_ENDED, oldest, |row| row.get(0))?;
    for number in &ended {
        connection.execute(REMOVE_EVENTS, rows::places(Number(*number)))?;
        connection.execute(REMOVE_SAGA, [number])?;
    }
    Ok(ended.len().try_into().unwrap_or(u64::MAX))
}

/// The definition that has this one's name and version from now on.
pub(super) fn register(
    connection: &Connection,
    definition: &Definition,
) -> Result<Definition, Error> {
    let Definition { hash, name, version, source, file, descriptors, registered_at } = definition;
    let registered_at = rows::millis(*registered_at);
    let values = (hash, name, version, source, file, descriptors.as_ref(), registered_at);
    connection.execute(REGISTER, values)?;
    connection.one(REGISTERED, (name, version), rows::definition)
}
