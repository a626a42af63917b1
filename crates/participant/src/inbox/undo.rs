//! An undo's way through the inbox, inside one transaction.

use bytes::Bytes;
use store::Connection;

use crate::{
    decision::{Answered, Decision, WorkError},
    inbox::{OwnedDelivery, claimed_row, refusal::Refusal, unreadable},
    rows,
    table::{Content, Row},
};

/// `work` is given its call's stored response.
pub(super) fn answer<W>(
    connection: &Connection,
    delivery: &OwnedDelivery,
    work: W,
) -> Result<Answered, Refusal>
where
    W: FnOnce(&Connection, Bytes) -> Result<Bytes, WorkError>,
{
    if !rows::claim(connection, &delivery.key)? {
        return repeat(connection, delivery);
    }
    let (content, outcome) = match tombstone_or_call(connection, delivery)? {
        None => (Content::NothingToUndo, Decision::NothingToUndo),
        Some(call) => match work(connection, call) {
            Ok(response) => (Content::Undone(response.clone()), Decision::Done(response)),
            Err(WorkError::Declined(decline) | WorkError::DeclinedKeeping(decline)) => {
                let unstored = delivery.decided(Decision::Declined(decline));
                return Err(Refusal::Unstored(unstored));
            }
            Err(WorkError::Technical(cause)) => return Err(Refusal::Work(cause)),
        },
    };
    rows::settle(connection, &delivery.key, &delivery.row(content))?;
    Ok(delivery.decided(outcome))
}

/// The response of the call that is to be undone; where there is none to undo, the call's key is closed for good.
fn tombstone_or_call(
    connection: &Connection,
    delivery: &OwnedDelivery,
) -> Result<Option<Bytes>, Refusal> {
    let call = delivery.key.of_call();
    if rows::claim(connection, &call)? {
        delivery.refuse_forgotten()?;
        let tombstone = Row { fingerprint: None, ..delivery.row(Content::Tombstone) };
        rows::settle(connection, &call, &tombstone)?;
        return Ok(None);
    }
    match claimed_row(connection, &call)?.content {
        Content::Done(response) => Ok(Some(response)),
        Content::Declined(_) | Content::Tombstone => Ok(None),
        Content::Undone(_) | Content::NothingToUndo => {
            Err(unreadable(&call, "it is not a call's").into())
        }
    }
}

/// The answer that an earlier delivery of this undo has decided.
fn repeat(connection: &Connection, delivery: &OwnedDelivery) -> Result<Answered, Refusal> {
    let row = delivery.earlier(connection)?;
    let outcome = match row.content {
        Content::Undone(response) => Decision::Done(response),
        Content::NothingToUndo => Decision::NothingToUndo,
        Content::Done(_) | Content::Declined(_) | Content::Tombstone => {
            return Err(unreadable(&delivery.key, "it is not an undo's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
