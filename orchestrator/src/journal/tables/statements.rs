//! The journal's writes, each inside a transaction that it may share with others.

use std::sync::atomic::{AtomicI64, Ordering};

use clock::Timestamp;
use saga::Reason;
use store::Connection;

use super::{compensations, rows};
use crate::journal::{Change, Entry, Error, FOR_A_PERSON, Header, Number, Readmit, Standing};

const INSERT_SAGA: &str = "
    insert into saga
        (number, id, definition_hash, definition, version, key, request, trace, deadline, created_at, updated_at, state)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, 'RUNNING')";

// Records count too: where somebody deleted a saga's row, its records must not become another saga's.
const LAST_NUMBER: &str = "select max(number) from saga";

const LAST_PLACE: &str = "select max(place) from event";

const INSERT_EVENT: &str = "insert into event (place, at, record, link) values (?1, ?2, ?3, ?4)";

const SET_STANDING: &str = "
    update saga
    set state = ?2, updated_at = ?3, state_seq = ?4, state_link = ?5, reason_code = ?6, reason_message = ?7,
        reason_step = ?8
    where number = ?1";

const SLEEP: &str = "update saga set asleep_until = ?2 where number = ?1";

// Whose last record was made after `?1`, and who waits for an instant.
const MAKE_DUE: &str = "
    update saga set asleep_until = ?1
    where asleep_until is not null and asleep_until > ?1 and asleep_until < ?2
        and (
            select at from event where place between number << 20 and number << 20 | 1048575
            order by place desc limit 1
        ) > ?1";

// What stands aside is not asleep: it is taken up when it is let in again.
const SET_ASIDE: &str =
    "update saga set aside_code = ?2, aside_message = ?3, asleep_until = null where id = ?1";

const READMIT: &str = "
    update saga
    set aside_code = null, aside_message = null
    where id = ?1 and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";

// This is the condition of the partial index, word for word, so that only sagas that stand aside are read.
const READMIT_ALL: &str = "
    update saga
    set aside_code = null, aside_message = null
    where aside_code = ?1
      and aside_code is not null and state <> 'SUCCEEDED' and state <> 'COMPENSATED' and state <> 'RESOLVED'";

// The reason why it stood aside stays readable behind the person's words.
const CLOSE_ASIDE: &str = "
    update saga
    set state = 'RESOLVED', updated_at = ?2, aside_code = ?3,
        aside_message = ?4 || ' (it stood aside: ' || aside_message || ')'
    where id = ?1 and aside_code is not null
      and state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED')";

/// The numbers of new sagas, each given once. Where its saga was not kept, a number is left out.
#[derive(Debug, Default)]
pub(super) struct Numbers(AtomicI64);

impl Numbers {
    /// A number that no saga has that is stored, or of which a record is left.
    fn next(&self, connection: &Connection) -> Result<Number, Error> {
        // The database is asked only once, because no other place gives numbers. Of two callers that ask at the same time, the
        // greater result counts.
        if self.0.load(Ordering::Relaxed) == 0 {
            self.0.fetch_max(last(connection)?, Ordering::Relaxed);
        }
        Ok(Number(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// The last number that a saga has; 0 where there is none.
fn last(connection: &Connection) -> Result<i64, Error> {
    let greatest = |statement| connection.one(statement, (), |row| row.get::<Option<i64>>(0));
    let (number, place) = (greatest(LAST_NUMBER)?, greatest(LAST_PLACE)?);
    Ok(number.max(place.map(|place| rows::number(place).0)).unwrap_or_default())
}

/// Inserts the saga.
pub(super) fn start(
    connection: &Connection,
    numbers: &Numbers,
    header: &Header,
) -> Result<Number, Error> {
    let number = numbers.next(connection)?;
    let values = (
        number.0,
        &header.saga_id,
        &header.definition_hash,
        &header.definition,
        header.version,
        &header.key,
        header.request.as_ref(),
        &header.trace,
        rows::millis(header.deadline),
        rows::millis(header.created_at),
    );
    connection.execute(INSERT_SAGA, values)?;
    Ok(number)
}

/// Inserts the records and, where they change something of it, updates the index.
pub(super) fn append(
    connection: &Connection,
    saga: Number,
    entries: &[Entry],
    change: Option<&Change>,
) -> Result<(), Error> {
    let mut event = connection.prepare(INSERT_EVENT)?;
    for Entry { seq, at, record, link } in entries {
        let place = rows::place(saga, *seq).ok_or(Error::Full { seq: *seq })?;
        let values = (place, rows::millis(*at), record.as_ref(), link.0.as_slice());
        event.execute(values).map_err(|error| match error {
            store::Error::Taken(_) => Error::Taken { seq: *seq },
            error => error.into(),
        })?;
    }
    let (Some(Change { standing, compensation }), Some(last)) = (change, entries.last()) else {
        return Ok(());
    };
    let Standing { status, why } = standing;
    let values = (
        saga.0,
        status.as_str(),
        rows::millis(last.at),
        i64::try_from(last.seq).unwrap_or(i64::MAX),
        last.link.0.as_slice(),
        why.as_ref().map(|why| &why.reason.code),
        why.as_ref().map(|why| &why.reason.message),
        why.as_ref().map(|why| &why.step),
    );
    connection.execute(SET_STANDING, values)?;
    match compensation {
        Some(compensation) => compensations::note(connection, saga, compensation, last.at),
        None => Ok(()),
    }
}

/// Puts down until when the saga is asleep, or that it is not.
pub(super) fn sleep(
    connection: &Connection,
    Number(number): Number,
    until: Option<Timestamp>,
) -> Result<(), Error> {
    connection.execute(SLEEP, (number, until.map(rows::millis)))?;
    Ok(())
}

/// Makes the sagas due that fell asleep by a clock that stood further ahead than `now`.
pub(super) fn make_due(connection: &Connection, now: Timestamp) -> Result<(), Error> {
    connection.execute(MAKE_DUE, (rows::millis(now), rows::millis(FOR_A_PERSON)))?;
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
    let closed = connection.execute(CLOSE_ASIDE, values)? > 0;
    if closed {
        compensations::close(connection, saga_id, at)?;
    }
    Ok(closed)
}
