//! What each write does, inside its transaction: find the order, let the rules judge, save what they say.

use clock::Timestamp;
use money::Money;
use uuid::{NoContext, Uuid};

use crate::{
    checks,
    error::Error,
    facts::OrderFacts,
    order::{Bill, Cancel, Order, OrderAction, State},
    store::{self, Connection},
};

/// A new order's name. Sorts by its time; random otherwise, so that nobody guesses another's.
pub(crate) fn new_order_no(at: Timestamp) -> String {
    let nanos = u32::try_from(at.0 % 1000 * 1_000_000).unwrap_or_default();
    let at = uuid::Timestamp::from_unix(NoContext, at.0 / 1000, nanos);
    format!("O-{}", Uuid::new_v7(at).simple())
}

/// Creates the order that the saga places, when no check speaks against it. A token buys once: the orchestrator starts one
/// saga for it, and forgets it with that saga; the order does not.
pub(crate) fn place(
    connection: &Connection,
    facts: &OrderFacts,
    order_no: String,
    saga_id: String,
    at: Timestamp,
) -> Result<(Order, Bill), participant::WorkError> {
    store::is_new(connection, &facts.buyer.user_id, facts.submit_token.as_deref())?;
    checks::judge(facts)?;
    let bill = facts.bill()?;
    let order = Order {
        order_no,
        user_id: facts.buyer.user_id.clone(),
        state: State::Created,
        total: bill.total,
        points: bill.points,
        paid: None,
        saga_id,
        submit_token: facts.submit_token.clone(),
        cancelled_by: None,
        created_at: at,
    };
    store::create(connection, &order, &bill.lines)?;
    Ok((order, bill))
}

/// Applies the action to the order.
pub(crate) fn apply_action(
    connection: &Connection,
    order_no: &str,
    action: OrderAction,
    reason: &str,
    at: Timestamp,
) -> Result<Order, Error> {
    let before = store::find(connection, order_no)?;
    let after = before.after(action)?;
    store::save(connection, &before, &after, reason, at)?;
    Ok(after)
}

/// Marks the order as paid with exactly what is due.
pub(crate) fn mark_paid(
    connection: &Connection,
    order_no: &str,
    paid: Money,
    at: Timestamp,
) -> Result<Order, Error> {
    let before = store::find(connection, order_no)?;
    let after = before.after_payment(paid)?;
    store::save(connection, &before, &after, "", at)?;
    Ok(after)
}

/// A user's request to cancel an order.
#[derive(Clone, Debug)]
pub(crate) struct CancelRequest {
    pub(crate) order_no: String,
    pub(crate) user_id: String,
    pub(crate) reason: String,
    pub(crate) was_placing: bool,
    /// The idempotency key of the call that makes it.
    pub(crate) key: String,
}

/// Begins to give the order back, or finds that its placing was undone.
pub(crate) fn begin_cancel(
    connection: &Connection,
    request: CancelRequest,
    at: Timestamp,
) -> Result<Order, Error> {
    let CancelRequest { order_no, user_id, reason, was_placing, key } = request;
    let before = store::find(connection, &order_no)?;
    if before.user_id != user_id {
        return Err(Error::Unknown { order_no });
    }
    match before.cancel(was_placing, key)? {
        Cancel::StillPlacing => Err(Error::StillPlacing { order_no }),
        Cancel::AlreadyUndone => Ok(before),
        Cancel::Begun(after) => {
            store::save(connection, &before, &after, &reason, at)?;
            Ok(after)
        }
    }
}

/// Goes back to the state before the cancel that the call with this key began.
pub(crate) fn abandon_cancel(
    connection: &Connection,
    key: &str,
    reason: &str,
    at: Timestamp,
) -> Result<Order, Error> {
    let before = store::cancelled_by(connection, key)?;
    let after = before.after(OrderAction::AbandonCancel)?;
    store::save(connection, &before, &after, reason, at)?;
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_are_identifiers_of_their_own_that_sort_by_time() {
        let early: Vec<String> = (0..50).map(|_| new_order_no(Timestamp(1_000))).collect();
        let late = new_order_no(Timestamp(1_001));
        for (index, order_no) in early.iter().enumerate() {
            assert!(order_no.len() <= 64 && order_no < &late, "{order_no}");
            assert!(!early[..index].contains(order_no));
        }
    }
}
