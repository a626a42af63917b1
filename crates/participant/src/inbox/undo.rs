//! An undo's way through the inbox, inside one transaction.

use bytes::Bytes;
use planted::Bug;
use store::Connection;

use crate::{
    decision::{Answered, Decision, WorkError},
    inbox::{Taken, held, refusal::Refusal, unreadable},
    rows,
    table::{Held, Row},
};

/// `work` is given its call's stored response.
pub(super) fn answer<W>(
    connection: &Connection,
    delivery: &Taken,
    work: W,
) -> Result<Answered, Refusal>
where
    W: FnOnce(&Connection, Bytes) -> Result<Bytes, WorkError>,
{
    if !rows::claim(connection, &delivery.key)? {
        return repeat(connection, delivery);
    }
    let (held, outcome) = match tombstone_or_call(connection, delivery)? {
        None => (Held::Nothing, Decision::NothingToUndo),
        Some(call) => match work(connection, call) {
            Ok(response) => (Held::Undone(response.clone()), Decision::Done(response)),
            Err(WorkError::Declined(decline) | WorkError::DeclinedKeeping(decline)) => {
                let unstored = delivery.decided(Decision::Declined(decline));
                return Err(Refusal::Unstored(unstored));
            }
            Err(WorkError::Technical(cause)) => return Err(Refusal::Work(cause)),
        },
    };
    rows::settle(connection, &delivery.key, &delivery.row(held))?;
    Ok(delivery.decided(outcome))
}

/// The response of the call that is to be undone; where there is none to undo, the call's key is closed for good.
fn tombstone_or_call(connection: &Connection, delivery: &Taken) -> Result<Option<Bytes>, Refusal> {
    let call = delivery.key.of_call();
    if planted::is(Bug::NoTombstone) && rows::find(connection, &call)?.is_none() {
        return Ok(None);
    }
    if rows::claim(connection, &call)? {
        delivery.refuse_old()?;
        let tombstone = Row { fingerprint: None, ..delivery.row(Held::Tombstone) };
        rows::settle(connection, &call, &tombstone)?;
        return Ok(None);
    }
    match held(connection, &call)?.held {
        Held::Done(response) => Ok(Some(response)),
        Held::Declined(_) | Held::Tombstone => Ok(None),
        Held::Undone(_) | Held::Nothing => Err(unreadable(&call, "it is not a call's").into()),
    }
}

/// The answer that an earlier delivery of this undo has decided.
fn repeat(connection: &Connection, delivery: &Taken) -> Result<Answered, Refusal> {
    let row = delivery.earlier(connection)?;
    let outcome = match row.held {
        Held::Undone(response) => Decision::Done(response),
        Held::Nothing => Decision::NothingToUndo,
        Held::Done(_) | Held::Declined(_) | Held::Tombstone => {
            return Err(unreadable(&delivery.key, "it is not an undo's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
