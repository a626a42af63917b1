//! Orders: created once, moved from state to state.

use ::store::{Database, Row, millis};
use clock::Timestamp;
use money::Money;

use crate::{
    error::Error,
    order::{Line, Order, State},
    store::{Connection, Detail, detailed, unreadable},
};

const CREATE: &str = "
    insert into orders
        (order_no, user_id, state, shipped, currency, total, points, paid, saga_id, submit_token,
         cancelled_by, created_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    on conflict (user_id, submit_token) do nothing";

const CREATE_LINE: &str = "
    insert into order_line (order_no, number, sku, quantity, unit_price)
    values (?1, ?2, ?3, ?4, ?5)";

const FIND: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, submit_token,
           cancelled_by, created_at
    from orders
    where order_no = ?1";

const UNDER_TOKEN: &str = "select order_no from orders where user_id = ?1 and submit_token = ?2";

const CANCELLED_BY: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, submit_token,
           cancelled_by, created_at
    from orders
    where cancelled_by = ?1";

// Guarded by the state that the move was judged by: of two that race, the second finds it gone. All that a move changes
// is in one statement, because the constraints tie it together.
const SAVE: &str = "
    update orders
    set state = ?4, shipped = ?5, paid = ?6, cancelled_by = ?7
    where order_no = ?1 and state = ?2 and shipped = ?3";

const RECORD: &str = "
    insert into transition (order_no, from_state, to_state, reason, at)
    values (?1, ?2, ?3, ?4, ?5)";

// Two statements and not one that asks whether a user is given: only so is each read by its own index.
const PAGE: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, submit_token,
           cancelled_by, created_at
    from orders
    where seq < ?1 and (?2 = '' or state = ?2)
    order by seq desc
    limit ?3";

const PAGE_OF_USER: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, submit_token,
           cancelled_by, created_at
    from orders
    where seq < ?1 and (?2 = '' or state = ?2) and user_id = ?4
    order by seq desc
    limit ?3";

/// Says no where the user has an order under this token.
pub(crate) fn is_new(
    connection: &Connection,
    user_id: &str,
    submit_token: Option<&str>,
) -> Result<(), Error> {
    let Some(token) = submit_token else { return Ok(()) };
    let existing = connection.optional(UNDER_TOKEN, (user_id, token), |row| row.get(0))?;
    match existing {
        Some(order_no) => Err(Error::Exists { order_no }),
        None => Ok(()),
    }
}

/// Writes a new order with its lines. Where transactions run side by side, the token may have been taken since it was
/// looked for.
pub(crate) fn create(connection: &Connection, order: &Order, lines: &[Line]) -> Result<(), Error> {
    let values = (
        &order.order_no,
        &order.user_id,
        order.state.as_str(),
        order.state.shipped(),
        order.total.currency.as_str(),
        order.total.minor_units,
        order.points,
        order.paid.map(|paid| paid.minor_units),
        &order.saga_id,
        &order.submit_token,
        &order.cancelled_by,
        millis(order.created_at),
    );
    if connection.execute(CREATE, values)? == 0 {
        is_new(connection, &order.user_id, order.submit_token.as_deref())?;
        return Err(Error::Overtaken { order_no: order.order_no.clone() });
    }
    for (number, Line { sku, quantity, unit_price }) in (1_i64..).zip(lines) {
        let values = (&order.order_no, number, sku, quantity, unit_price.minor_units);
        connection.execute(CREATE_LINE, values)?;
    }
    record(connection, None, order, "", order.created_at)
}

/// The order.
pub(crate) fn find(connection: &Connection, order_no: &str) -> Result<Order, Error> {
    let order = connection.optional(FIND, [order_no], read)?;
    order.ok_or_else(|| Error::Unknown { order_no: order_no.to_owned() })
}

/// The order that the call with this key has begun to cancel.
pub(crate) fn cancelled_by(connection: &Connection, key: &str) -> Result<Order, Error> {
    let order = connection.optional(CANCELLED_BY, [key], read)?;
    // The inbox runs an undo only after its call took effect, and that wrote the key.
    order.ok_or_else(|| unreadable("inbox", key))
}

/// Writes what a move has made of the order, and records the move.
pub(crate) fn save(
    connection: &Connection,
    before: &Order,
    after: &Order,
    reason: &str,
    at: Timestamp,
) -> Result<(), Error> {
    let values = (
        &before.order_no,
        before.state.as_str(),
        before.state.shipped(),
        after.state.as_str(),
        after.state.shipped(),
        after.paid.map(|paid| paid.minor_units),
        &after.cancelled_by,
    );
    if connection.execute(SAVE, values)? == 0 {
        return Err(Error::Overtaken { order_no: before.order_no.clone() });
    }
    record(connection, Some(before.state), after, reason, at)
}

fn record(
    connection: &Connection,
    from: Option<State>,
    order: &Order,
    reason: &str,
    at: Timestamp,
) -> Result<(), Error> {
    let (from, to) = (from.map(State::as_str), order.state.as_str());
    connection.execute(RECORD, (&order.order_no, from, to, reason, millis(at)))?;
    Ok(())
}

/// Which orders a list is of.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Empty: every user's.
    pub(crate) user_id: String,
    /// The word; empty: every state.
    pub(crate) state: String,
}

/// Orders one by one, each with its record's number.
pub(crate) type Details<'c> = &'c mut dyn Iterator<Item = Result<(i64, Detail), Error>>;

/// What `take` makes of at most `limit` orders before the record `before`, newest first. The lines of one that it does not
/// ask for are not read.
pub(crate) async fn page<T: Send + 'static>(
    database: &Database,
    filter: Filter,
    before: i64,
    limit: i64,
    take: impl FnOnce(Details<'_>) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let Filter { user_id, state } = filter;
    let read = database.read(move |connection| {
        let found = match user_id.as_str() {
            "" => connection.all(PAGE, (before, state, limit), numbered),
            user_id => connection.all(PAGE_OF_USER, (before, state, limit, user_id), numbered),
        };
        let detailed = |(seq, order)| Ok((seq, detailed(connection, order)?));
        take(&mut found?.into_iter().map(detailed))
    });
    read.await
}

fn numbered(row: &Row<'_>) -> Result<(i64, Order), Error> {
    Ok((row.get(0)?, read(row)?))
}

fn read(row: &Row<'_>) -> Result<Order, Error> {
    let order_no: String = row.get(1)?;
    let broken = || unreadable("orders", &order_no);
    let (state, currency): (String, String) = (row.get(3)?, row.get(5)?);
    let currency = currency.parse().map_err(|_| broken())?;
    let paid: Option<i64> = row.get(8)?;
    Ok(Order {
        user_id: row.get(2)?,
        state: State::read(&state, row.get(4)?).ok_or_else(broken)?,
        total: Money::new(currency, row.get(6)?),
        points: row.get(7)?,
        paid: paid.map(|paid| Money::new(currency, paid)),
        saga_id: row.get(9)?,
        submit_token: row.get(10)?,
        cancelled_by: row.get(11)?,
        created_at: row.instant(12)?.ok_or_else(broken)?,
        order_no,
    })
}
