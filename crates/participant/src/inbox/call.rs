//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use futures::future::BoxFuture;
use planted::Bug;

use crate::{
    inbox::{Taken, refusal::Refusal, unreadable},
    outcome::{Answered, Decline, Failure, Outcome},
    table::{Held, InboxStore},
};

pub(super) async fn answer<S, W>(
    connection: &mut S::Connection,
    delivery: &Taken,
    work: W,
) -> Result<Answered, Refusal>
where
    S: InboxStore,
    W: for<'t> FnOnce(&'t mut S::Connection) -> BoxFuture<'t, Result<Bytes, Failure>>,
{
    if !S::claim(connection, &delivery.key).await? {
        return repeat::<S>(connection, delivery).await;
    }
    delivery.refuse_old()?;
    let (held, outcome) = match work(connection).await {
        Ok(response) => (Held::Done(response.clone()), Outcome::Done(response)),
        Err(Failure::Declined(decline) | Failure::DeclinedKeeping(decline))
            if planted::is(Bug::DeclineNotReplayed) =>
        {
            return Err(Refusal::Unstored(delivery.decided(Outcome::Declined(decline))));
        }
        Err(Failure::Declined(decline)) => {
            S::retract(connection).await?;
            // The claim went with what the work had written; who has taken the key meanwhile has decided.
            if !S::claim(connection, &delivery.key).await? {
                return repeat::<S>(connection, delivery).await;
            }
            (Held::Declined(decline.clone()), Outcome::Declined(decline))
        }
        Err(Failure::DeclinedKeeping(decline)) => {
            (Held::Declined(decline.clone()), Outcome::Declined(decline))
        }
        Err(Failure::Technical(cause)) => return Err(Refusal::Work(cause)),
    };
    S::settle(connection, &delivery.key, &delivery.row(held)).await?;
    Ok(delivery.decided(outcome))
}

/// The answer that an earlier delivery, or the undo that came first, has decided.
async fn repeat<S: InboxStore>(
    connection: &mut S::Connection,
    delivery: &Taken,
) -> Result<Answered, Refusal> {
    let row = delivery.earlier::<S>(connection).await?;
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
