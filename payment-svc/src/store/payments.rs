//! Payments and their states.

use clock::Timestamp;
use money::{Currency, Money};
use participant::Database;
use sqlx::SqliteExecutor;

use super::millis;
use crate::{
    error::Error,
    gateway::Connection,
    payment::{Payment, State},
};

const CREATE: &str = "
    insert into payment (payment_no, order_no, user_id, state, currency, amount, refunded, created_at)
    values ($1, $2, $3, $4, $5, $6, 0, $7)";

// Guarded by the state that it leaves, so a payment that has moved on meanwhile is never moved twice.
const SET_STATE: &str = "
    update payment
    set state = $3, failure = $4, refunded = case when $3 = 'REFUNDED' then amount else 0 end
    where payment_no = $1 and state = $2";

const OF_ORDER: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where order_no = $1 and state <> 'FAILED'";

const BY_NO: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where payment_no = $1";

const PAGE: &str = "
    select payment_no, order_no, user_id, state, currency, amount, refunded, failure, created_at
    from payment
    where user_id = $1 and payment_no > $2
    order by payment_no
    limit $3";

/// Records a payment that begins.
pub(crate) async fn create(connection: &mut Connection, payment: &Payment) -> Result<(), Error> {
    sqlx::query(CREATE)
        .bind(&payment.payment_no)
        .bind(&payment.order_no)
        .bind(&payment.user_id)
        .bind(payment.state.as_str())
        .bind(payment.amount.currency.as_str())
        .bind(payment.amount.minor_units)
        .bind(millis(payment.created_at))
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves a payment on; the payment as it is then.
pub(crate) async fn set_state(
    connection: &mut Connection,
    payment: Payment,
    next: State,
    failure: Option<String>,
) -> Result<Payment, Error> {
    let unreadable = || Error::Unreadable { table: "payment", key: payment.payment_no.clone() };
    if !payment.state.may_become(next) {
        return Err(unreadable());
    }
    let moved = sqlx::query(SET_STATE)
        .bind(&payment.payment_no)
        .bind(payment.state.as_str())
        .bind(next.as_str())
        .bind(&failure)
        .execute(connection)
        .await?;
    if moved.rows_affected() != 1 {
        return Err(unreadable());
    }
    let refunded = if next == State::Refunded { payment.amount } else { payment.refunded };
    Ok(Payment { state: next, refunded, failure, ..payment })
}

/// The payment of an order that did not fail.
pub(crate) async fn of_order(
    connection: &mut Connection,
    order_no: &str,
) -> Result<Option<Payment>, Error> {
    let row: Option<Row> =
        sqlx::query_as(OF_ORDER).bind(order_no).fetch_optional(connection).await?;
    row.map(Row::payment).transpose()
}

/// The payment of this number, inside the transaction.
pub(crate) async fn of_number(
    connection: &mut Connection,
    payment_no: &str,
) -> Result<Payment, Error> {
    by_number(connection, payment_no).await
}

/// The payment of this number.
pub(crate) async fn payment(database: &Database, payment_no: &str) -> Result<Payment, Error> {
    by_number(database.read(), payment_no).await
}

async fn by_number(executor: impl SqliteExecutor<'_>, payment_no: &str) -> Result<Payment, Error> {
    let row: Option<Row> = sqlx::query_as(BY_NO).bind(payment_no).fetch_optional(executor).await?;
    row.ok_or_else(|| Error::PaymentUnknown(payment_no.to_owned()))?.payment()
}

/// At most `limit` payments of the user behind the number `after`, oldest first.
pub(crate) async fn payments(
    database: &Database,
    user_id: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Payment>, Error> {
    let rows: Vec<Row> = sqlx::query_as(PAGE)
        .bind(user_id)
        .bind(after)
        .bind(limit)
        .fetch_all(database.read())
        .await?;
    rows.into_iter().map(Row::payment).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    payment_no: String,
    order_no: String,
    user_id: String,
    state: String,
    currency: String,
    amount: i64,
    refunded: i64,
    failure: Option<String>,
    created_at: i64,
}

impl Row {
    fn payment(self) -> Result<Payment, Error> {
        let unreadable = || Error::Unreadable { table: "payment", key: self.payment_no.clone() };
        let currency: Currency = self.currency.parse().map_err(|_| unreadable())?;
        Ok(Payment {
            state: State::from_name(&self.state).ok_or_else(unreadable)?,
            amount: Money::new(currency, self.amount),
            refunded: Money::new(currency, self.refunded),
            created_at: Timestamp(u64::try_from(self.created_at).map_err(|_| unreadable())?),
            payment_no: self.payment_no,
            order_no: self.order_no,
            user_id: self.user_id,
            failure: self.failure,
        })
    }
}
