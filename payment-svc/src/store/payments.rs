//! Payments and their states.

use ::store::{Database, Row, millis};
use money::Money;

use crate::{
    error::Error,
    gateway::Connection,
    payment::{Payment, State},
};

const CREATE: &str = "
    insert into payment (payment_no, order_no, user_id, state, currency, amount, refunded, created_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)";

// The update is guarded by the state before it, so that a payment is never moved twice.
const SET_STATE: &str = "
    update payment
    set state = ?3, failure = ?4, refunded = case when ?3 = 'REFUNDED' then amount else 0 end
    where payment_no = ?1 and state = ?2";

const OF_ORDER: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where order_no = ?1 and state <> 'FAILED'";

const BY_NO: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where payment_no = ?1";

const PAGE: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where user_id = ?1 and payment_no > ?2
    order by payment_no
    limit ?3";

/// Records a payment that begins.
pub(crate) fn create(connection: &Connection, payment: &Payment) -> Result<(), Error> {
    let values = (
        &payment.payment_no,
        &payment.order_no,
        &payment.user_id,
        payment.state.as_str(),
        payment.amount.currency.as_str(),
        payment.amount.minor_units,
        millis(payment.created_at),
    );
    connection.execute(CREATE, values)?;
    Ok(())
}

/// Moves a payment on; the payment as it is then.
pub(crate) fn set_state(
    connection: &Connection,
    payment: Payment,
    next: State,
    failure: Option<String>,
) -> Result<Payment, Error> {
    let unreadable = || Error::Unreadable { table: "payment", key: payment.payment_no.clone() };
    if !payment.state.may_become(next) {
        return Err(unreadable());
    }
    let (from, to) = (payment.state.as_str(), next.as_str());
    if connection.execute(SET_STATE, (&payment.payment_no, from, to, &failure))? != 1 {
        return Err(unreadable());
    }
    let refunded = if next == State::Refunded { payment.amount } else { payment.refunded };
    Ok(Payment { state: next, refunded, failure, ..payment })
}

/// The payment of an order that did not fail.
pub(crate) fn of_order(connection: &Connection, order_no: &str) -> Result<Option<Payment>, Error> {
    connection.optional(OF_ORDER, [order_no], read)
}

/// The payment of this number.
pub(crate) fn of_number(connection: &Connection, payment_no: &str) -> Result<Payment, Error> {
    let payment = connection.optional(BY_NO, [payment_no], read)?;
    payment.ok_or_else(|| Error::PaymentUnknown(payment_no.to_owned()))
}

/// The payment of this number.
pub(crate) async fn payment(database: &Database, payment_no: &str) -> Result<Payment, Error> {
    let payment_no = payment_no.to_owned();
    database.read(move |connection| of_number(connection, &payment_no)).await
}

/// At most `limit` payments of the user behind the number `after`, oldest first.
pub(crate) async fn payments(
    database: &Database,
    user_id: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Payment>, Error> {
    let of_user = (user_id.to_owned(), after.to_owned(), limit);
    database.read(move |connection| connection.all(PAGE, of_user, read)).await
}

fn read(row: &Row<'_>) -> Result<Payment, Error> {
    let payment_no: String = row.get(0)?;
    let unreadable = || Error::Unreadable { table: "payment", key: payment_no.clone() };
    let (state, currency): (String, String) = (row.get(3)?, row.get(4)?);
    let currency = currency.parse().map_err(|_| unreadable())?;
    Ok(Payment {
        order_no: row.get(1)?,
        user_id: row.get(2)?,
        state: State::from_name(&state).ok_or_else(unreadable)?,
        amount: Money::new(currency, row.get(5)?),
        refunded: Money::new(currency, row.get(6)?),
        failure: row.get(7)?,
        created_at: row.instant(8)?.ok_or_else(unreadable)?,
        payment_no,
    })
}
