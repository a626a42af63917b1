//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use store::Connection;

use crate::{
    decision::{Answered, Decision, Decline, WorkError},
    inbox::{OwnedDelivery, refusal::Refusal, unreadable},
    rows,
    table::Content,
};

pub(super) fn answer<W>(
    connection: &Connection,
    delivery: &OwnedDelivery,
    work: W,
) -> Result<Answered, Refusal>
where
    W: FnOnce(&Connection) -> Result<Bytes, WorkError>,
{
    if !rows::claim(connection, &delivery.key)? {
        return repeat(connection, delivery);
    }
    delivery.refuse_forgotten()?;
    let (content, outcome) = match work(connection) {
        Ok(response) => (Content::Done(response.clone()), Decision::Done(response)),
        Err(WorkError::Declined(decline)) => {
            connection.roll_back()?;
            // The claim was rolled back with the work's changes; another delivery may have claimed the key and decided.
            if !rows::claim(connection, &delivery.key)? {
                return repeat(connection, delivery);
            }
            (Content::Declined(decline.clone()), Decision::Declined(decline))
        }
        Err(WorkError::DeclinedKeeping(decline)) => {
            (Content::Declined(decline.clone()), Decision::Declined(decline))
        }
        Err(WorkError::Technical(cause)) => return Err(Refusal::Work(cause)),
    };
    rows::settle(connection, &delivery.key, &delivery.row(content))?;
    Ok(delivery.decided(outcome))
}

/// The answer that an earlier delivery, or the undo that came first, has decided.
fn repeat(connection: &Connection, delivery: &OwnedDelivery) -> Result<Answered, Refusal> {
    let row = delivery.earlier(connection)?;
    let outcome = match row.content {
        Content::Done(response) => Decision::Done(response),
        Content::Declined(decline) => Decision::Declined(decline),
        Content::Tombstone => Decision::Declined(Decline::superseded()),
        Content::Undone(_) | Content::NothingToUndo => {
            return Err(unreadable(&delivery.key, "it is not a call's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
