//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use planted::Bug;
use store::Connection;

use crate::{
    inbox::{Taken, refusal::Refusal, unreadable},
    outcome::{Answered, Decline, Failure, Outcome},
    rows,
    table::Held,
};

pub(super) fn answer<W>(
    connection: &Connection,
    delivery: &Taken,
    work: W,
) -> Result<Answered, Refusal>
where
    W: FnOnce(&Connection) -> Result<Bytes, Failure>,
{
    if !rows::claim(connection, &delivery.key)? {
        return repeat(connection, delivery);
    }
    delivery.refuse_old()?;
    let (held, outcome) = match work(connection) {
        Ok(response) => (Held::Done(response.clone()), Outcome::Done(response)),
        Err(Failure::Declined(decline) | Failure::DeclinedKeeping(decline))
            if planted::is(Bug::DeclineNotReplayed) =>
        {
            return Err(Refusal::Unstored(delivery.decided(Outcome::Declined(decline))));
        }
        Err(Failure::Declined(decline)) => {
            connection.retract()?;
            // The claim went with what the work had written; who has taken the key meanwhile has decided.
            if !rows::claim(connection, &delivery.key)? {
                return repeat(connection, delivery);
            }
            (Held::Declined(decline.clone()), Outcome::Declined(decline))
        }
        Err(Failure::DeclinedKeeping(decline)) => {
            (Held::Declined(decline.clone()), Outcome::Declined(decline))
        }
        Err(Failure::Technical(cause)) => return Err(Refusal::Work(cause)),
    };
    rows::settle(connection, &delivery.key, &delivery.row(held))?;
    Ok(delivery.decided(outcome))
}

/// The answer that an earlier delivery, or the undo that came first, has decided.
fn repeat(connection: &Connection, delivery: &Taken) -> Result<Answered, Refusal> {
    let row = delivery.earlier(connection)?;
    let outcome = match row.held {
        Held::Done(response) => Outcome::Done(response),
        Held::Declined(decline) => Outcome::Declined(decline),
        Held::Tombstone if planted::is(Bug::OkForSuperseded) => Outcome::Done(Bytes::new()),
        Held::Tombstone => Outcome::Declined(Decline::superseded()),
        Held::Undone(_) | Held::Nothing => {
            return Err(unreadable(&delivery.key, "it is not a call's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
