//! Orders: created once, moved from state to state.

use clock::Timestamp;
use money::Money;
use participant::Database;
use sqlx::{QueryBuilder, Sqlite};

use crate::{
    error::Error,
    order::{Line, Order, State},
    store::{Connection, Detail, detailed, instant, millis, unreadable},
};

const CREATE: &str = "
    insert into orders
        (order_no, user_id, state, shipped, currency, total, points, paid, saga_id, cancelled_by, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const CREATE_LINES: &str = "insert into order_line (order_no, number, sku, quantity, unit_price) ";

const FIND: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, cancelled_by, created_at
    from orders
    where order_no = $1";

const CANCELLED_BY: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, cancelled_by, created_at
    from orders
    where cancelled_by = $1";

// Guarded by the state that the move was judged by: of two that race, the second finds it gone. All that a move changes
// is in one statement, because the constraints tie it together.
const SAVE: &str = "
    update orders
    set state = $4, shipped = $5, paid = $6, cancelled_by = $7
    where order_no = $1 and state = $2 and shipped = $3";

const RECORD: &str = "
    insert into transition (order_no, from_state, to_state, reason, at)
    values ($1, $2, $3, $4, $5)";

// Two statements and not one that asks whether a user is given: only so is each read by its own index.
const PAGE: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, cancelled_by, created_at
    from orders
    where seq < $1 and ($2 = '' or state = $2)
    order by seq desc
    limit $3";

const PAGE_OF_USER: &str = "
    select seq, order_no, user_id, state, shipped, currency, total, points, paid, saga_id, cancelled_by, created_at
    from orders
    where seq < $1 and ($2 = '' or state = $2) and user_id = $4
    order by seq desc
    limit $3";

/// Writes a new order with its lines.
pub(crate) async fn create(
    connection: &mut Connection,
    order: &Order,
    lines: &[Line],
) -> Result<(), Error> {
    sqlx::query(CREATE)
        .bind(&order.order_no)
        .bind(&order.user_id)
        .bind(order.state.as_str())
        .bind(order.state.shipped())
        .bind(order.total.currency.as_str())
        .bind(order.total.minor_units)
        .bind(order.points)
        .bind(order.paid.map(|paid| paid.minor_units))
        .bind(&order.saga_id)
        .bind(&order.cancelled_by)
        .bind(millis(order.created_at))
        .execute(&mut *connection)
        .await?;
    let mut create_lines = QueryBuilder::<Sqlite>::new(CREATE_LINES);
    create_lines.push_values((1_i64..).zip(lines), |mut row, (number, line)| {
        row.push_bind(&order.order_no)
            .push_bind(number)
            .push_bind(&line.sku)
            .push_bind(line.quantity)
            .push_bind(line.unit_price.minor_units);
    });
    create_lines.build().execute(&mut *connection).await?;
    record(connection, None, order, "", order.created_at).await
}

/// The order.
pub(crate) async fn find(connection: &mut Connection, order_no: &str) -> Result<Order, Error> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(order_no).fetch_optional(connection).await?;
    row.ok_or_else(|| Error::Unknown { order_no: order_no.to_owned() })?.order()
}

/// The order that the call with this key has begun to cancel.
pub(crate) async fn cancelled_by(connection: &mut Connection, key: &str) -> Result<Order, Error> {
    let row: Option<Row> =
        sqlx::query_as(CANCELLED_BY).bind(key).fetch_optional(connection).await?;
    // The inbox runs an undo only after its call took effect, and that wrote the key.
    row.ok_or_else(|| unreadable("inbox", key))?.order()
}

/// Writes what a move has made of the order, and records the move.
pub(crate) async fn save(
    connection: &mut Connection,
    before: &Order,
    after: &Order,
    reason: &str,
    at: Timestamp,
) -> Result<(), Error> {
    let saved = sqlx::query(SAVE)
        .bind(&before.order_no)
        .bind(before.state.as_str())
        .bind(before.state.shipped())
        .bind(after.state.as_str())
        .bind(after.state.shipped())
        .bind(after.paid.map(|paid| paid.minor_units))
        .bind(&after.cancelled_by)
        .execute(&mut *connection)
        .await?;
    if saved.rows_affected() == 0 {
        return Err(Error::Overtaken { order_no: before.order_no.clone() });
    }
    record(connection, Some(before.state), after, reason, at).await
}

async fn record(
    connection: &mut Connection,
    from: Option<State>,
    order: &Order,
    reason: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(RECORD)
        .bind(&order.order_no)
        .bind(from.map(State::as_str))
        .bind(order.state.as_str())
        .bind(reason)
        .bind(millis(at))
        .execute(connection)
        .await?;
    Ok(())
}

/// Which orders a list is of.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    /// Empty: every user's.
    pub(crate) user_id: &'a str,
    /// The word; empty: every state.
    pub(crate) state: &'a str,
}

/// At most `limit` orders before the record `before`, newest first, each with its record's number.
pub(crate) async fn page(
    database: &Database,
    filter: &Filter<'_>,
    before: i64,
    limit: i64,
) -> Result<Vec<(i64, Detail)>, Error> {
    let mut snapshot = database.read().begin().await?;
    let statement = if filter.user_id.is_empty() { PAGE } else { PAGE_OF_USER };
    let mut query = sqlx::query_as(statement).bind(before).bind(filter.state).bind(limit);
    if !filter.user_id.is_empty() {
        query = query.bind(filter.user_id);
    }
    let rows: Vec<Row> = query.fetch_all(&mut *snapshot).await?;
    let mut orders = Vec::with_capacity(rows.len());
    for row in rows {
        let seq = row.seq;
        orders.push((seq, detailed(&mut snapshot, row.order()?).await?));
    }
    Ok(orders)
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    order_no: String,
    user_id: String,
    state: String,
    shipped: bool,
    currency: String,
    total: i64,
    points: i64,
    paid: Option<i64>,
    saga_id: String,
    cancelled_by: Option<String>,
    created_at: i64,
}

impl Row {
    fn order(self) -> Result<Order, Error> {
        let broken = || unreadable("orders", &self.order_no);
        let currency = self.currency.parse().map_err(|_| broken())?;
        Ok(Order {
            state: State::read(&self.state, self.shipped).ok_or_else(broken)?,
            total: Money::new(currency, self.total),
            paid: self.paid.map(|paid| Money::new(currency, paid)),
            created_at: instant(self.created_at).ok_or_else(broken)?,
            points: self.points,
            order_no: self.order_no,
            user_id: self.user_id,
            saga_id: self.saga_id,
            cancelled_by: self.cancelled_by,
        })
    }
}
