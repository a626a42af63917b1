//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use planted::Bug;
use store::Connection;

use crate::{
    decision::{Answered, Decision, Decline, WorkError},
    inbox::{Taken, refusal::Refusal, unreadable},
    rows,
    table::Held,
};

pub(super) fn answer<W>(
    connection: &Connection,
    delivery: &Taken,
    work: W,
) -> Result<Answered, Refusal>
where
    W: FnOnce(&Connection) -> Result<Bytes, WorkError>,
{
    if !rows::claim(connection, &delivery.key)? {
        return repeat(connection, delivery);
    }
    delivery.refuse_old()?;
    let (held, outcome) = match work(connection) {
        Ok(response) => (Held::Done(response.clone()), Decision::Done(response)),
        Err(WorkError::Declined(decline) | WorkError::DeclinedKeeping(decline))
            if planted::is(Bug::DeclineNotReplayed) =>
        {
            return Err(Refusal::Unstored(delivery.decided(Decision::Declined(decline))));
        }
        Err(WorkError::Declined(decline)) => {
            connection.retract()?;
            // The claim went with what the work had written; who has taken the key meanwhile has decided.
            if !rows::claim(connection, &delivery.key)? {
                return repeat(connection, delivery);
            }
            (Held::Declined(decline.clone()), Decision::Declined(decline))
        }
        Err(WorkError::DeclinedKeeping(decline)) => {
            (Held::Declined(decline.clone()), Decision::Declined(decline))
        }
        Err(WorkError::Technical(cause)) => return Err(Refusal::Work(cause)),
    };
    rows::settle(connection, &delivery.key, &delivery.row(held))?;
    Ok(delivery.decided(outcome))
}

/// The answer that an earlier delivery, or the undo that came first, has decided.
fn repeat(connection: &Connection, delivery: &Taken) -> Result<Answered, Refusal> {
    let row = delivery.earlier(connection)?;
    let outcome = match row.held {
        Held::Done(response) => Decision::Done(response),
        Held::Declined(decline) => Decision::Declined(decline),
        Held::Tombstone if planted::is(Bug::OkForSuperseded) => Decision::Done(Bytes::new()),
        Held::Tombstone => Decision::Declined(Decline::superseded()),
        Held::Undone(_) | Held::Nothing => {
            return Err(unreadable(&delivery.key, "it is not a call's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
