//! An undo's way through the inbox, inside one transaction.

use bytes::Bytes;
use futures::future::BoxFuture;
use planted::Bug;

use crate::{
    inbox::{Taken, held, refusal::Refusal, unreadable},
    outcome::{Answered, Failure, Outcome},
    table::{Held, InboxStore, Row},
};

/// `work` is given its call's stored response.
pub(super) async fn answer<S, W>(
    connection: &mut S::Connection,
    delivery: &Taken,
    work: W,
) -> Result<Answered, Refusal>
where
    S: InboxStore,
    W: for<'t> FnOnce(&'t mut S::Connection, Bytes) -> BoxFuture<'t, Result<Bytes, Failure>>,
{
    if !S::claim(connection, &delivery.key).await? {
        return repeat::<S>(connection, delivery).await;
    }
    let (held, outcome) = match tombstone_or_call::<S>(connection, delivery).await? {
        None => (Held::Nothing, Outcome::NothingToUndo),
        Some(call) => match work(connection, call).await {
            Ok(response) => (Held::Undone(response.clone()), Outcome::Done(response)),
            Err(Failure::Declined(decline) | Failure::DeclinedKeeping(decline)) => {
                let unstored = delivery.decided(Outcome::Declined(decline));
                return Err(Refusal::Unstored(unstored));
            }
            Err(Failure::Technical(cause)) => return Err(Refusal::Work(cause)),
        },
    };
    S::settle(connection, &delivery.key, &delivery.row(held)).await?;
    Ok(delivery.decided(outcome))
}

/// The response of the call that is to be undone; where there is none to undo, the call's key is closed for good.
async fn tombstone_or_call<S: InboxStore>(
    connection: &mut S::Connection,
    delivery: &Taken,
) -> Result<Option<Bytes>, Refusal> {
    let call = delivery.key.of_call();
    if planted::is(Bug::NoTombstone) && S::find(connection, &call).await?.is_none() {
        return Ok(None);
    }
    if S::claim(connection, &call).await? {
        delivery.refuse_old()?;
        let tombstone = Row { fingerprint: None, ..delivery.row(Held::Tombstone) };
        S::settle(connection, &call, &tombstone).await?;
        return Ok(None);
    }
    match held::<S>(connection, &call).await?.held {
        Held::Done(response) => Ok(Some(response)),
        Held::Declined(_) | Held::Tombstone => Ok(None),
        Held::Undone(_) | Held::Nothing => Err(unreadable(&call, "it is not a call's").into()),
    }
}

/// The answer that an earlier delivery of this undo has decided.
async fn repeat<S: InboxStore>(
    connection: &mut S::Connection,
    delivery: &Taken,
) -> Result<Answered, Refusal> {
    let row = delivery.earlier::<S>(connection).await?;
    let outcome = match row.held {
        Held::Undone(response) => Outcome::Done(response),
        Held::Nothing => Outcome::NothingToUndo,
        Held::Done(_) | Held::Declined(_) | Held::Tombstone => {
            return Err(unreadable(&delivery.key, "it is not an undo's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
