//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use store::Connection;

use crate::{
    decision::{Answered, Decision, Decline, WorkError},
    inbox::{OwnedDelivery, refusal::Refusal, unreadable},
    rows,
    table::{Content, Row},
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
    if let Some(row) = of_earlier_version(connection, delivery)? {
        return given(delivery, row);
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
    given(delivery, delivery.earlier(connection)?)
}

/// The row that this very request left before keys named users. That of another request is another user's, for all that
/// is known.
fn of_earlier_version(
    connection: &Connection,
    delivery: &OwnedDelivery,
) -> Result<Option<Row>, store::Error> {
    let Some(key) = delivery.key.without_user() else { return Ok(None) };
    let row = rows::find(connection, &key)?;
    Ok(row.filter(|row| row.fingerprint == Some(delivery.fingerprint)))
}

/// What the row of an earlier delivery says.
fn given(delivery: &OwnedDelivery, row: Row) -> Result<Answered, Refusal> {
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
