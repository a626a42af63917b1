//! A call's way through the inbox, inside one transaction.

use bytes::Bytes;
use planted::Bug;

use crate::{
    answer::{Answered, Decline, Failure, Outcome},
    inbox::{Taken, refusal::Refusal, unreadable},
    store::{Held, Store, Work},
};

pub(super) async fn answer<S: Store>(
    connection: &mut S::Connection,
    delivery: Taken,
    work: Work<S::Connection, Bytes, Failure>,
) -> Result<Answered, Refusal> {
    if !S::insert(connection, &delivery.key, &delivery.row).await? {
        return repeat::<S>(connection, &delivery).await;
    }
    let (held, outcome) = match S::attempt(connection, keeping::<S>(work)).await? {
        Ok(Kept::Response(response)) => (Held::Done(response.clone()), Outcome::Done(response)),
        Ok(Kept::Decline(decline)) | Err(Failure::Declined(decline))
            if planted::is(Bug::DeclineNotReplayed) =>
        {
            return Err(Refusal::Unstored(delivery.decided(Outcome::Declined(decline))));
        }
        Ok(Kept::Decline(decline))
        | Err(Failure::Declined(decline) | Failure::DeclinedKeeping(decline)) => {
            (Held::Declined(decline.clone()), Outcome::Declined(decline))
        }
        Err(Failure::Technical(cause)) => return Err(Refusal::Work(cause)),
    };
    S::settle(connection, &delivery.key, &held).await?;
    Ok(delivery.decided(outcome))
}

/// What is not rolled back to the savepoint.
enum Kept {
    Response(Bytes),
    Decline(Decline),
}

/// The work, with a decline that keeps its writes as a success of the savepoint.
fn keeping<S: Store>(
    work: Work<S::Connection, Bytes, Failure>,
) -> Work<S::Connection, Kept, Failure> {
    Box::new(move |connection| {
        Box::pin(async move {
            match work(connection).await {
                Ok(response) => Ok(Kept::Response(response)),
                Err(Failure::DeclinedKeeping(decline)) => Ok(Kept::Decline(decline)),
                Err(failure) => Err(failure),
            }
        })
    })
}

/// The answer that an earlier delivery, or the undo that came first, has decided.
async fn repeat<S: Store>(
    connection: &mut S::Connection,
    delivery: &Taken,
) -> Result<Answered, Refusal> {
    let row = delivery.earlier::<S>(connection).await?;
    let outcome = match row.held {
        Held::Done(response) => Outcome::Done(response),
        Held::Declined(decline) => Outcome::Declined(decline),
        Held::Tombstone if planted::is(Bug::OkForSuperseded) => Outcome::Done(Bytes::new()),
        Held::Tombstone => Outcome::Declined(Decline::superseded()),
        Held::Claimed | Held::Undone(_) | Held::Nothing => {
            return Err(unreadable(&delivery.key, "it is not a call's").into());
        }
    };
    Ok(Answered { outcome, trace_id: row.trace_id, repeated: true })
}
