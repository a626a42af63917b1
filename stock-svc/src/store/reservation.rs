//! What orders hold: taken whole, and moved whole.

use clock::Timestamp;
use planted::Bug;
use sqlx::{QueryBuilder, Sqlite};

use crate::{
    error::Error,
    stock::{self, Change, Hold, Line, Settlement},
    store::{Connection, flow, millis, units},
};

const RESERVE: &str = "
    insert into reservation (order_no, state, at)
    values ($1, $2, $3)
    on conflict (order_no) do nothing";

const RESERVE_LINES: &str = "insert into reservation_line (order_no, sku, quantity) ";

// Guarded by the state it takes: of two moves that race, one finds its state gone.
const MOVE: &str = "update reservation set state = $3, at = $4 where order_no = $1 and state = $2";

const STATE: &str = "select state from reservation where order_no = $1";

// In lock order, as they were frozen.
const LINES: &str = "select sku, quantity from reservation_line where order_no = $1 order by sku";

/// Takes all lines for the order, or fails at the first that there is not enough of. `lines` are in lock order.
pub(crate) async fn freeze(
    connection: &mut Connection,
    order_no: &str,
    lines: &[Line],
    at: Timestamp,
) -> Result<(), Error> {
    let reserved = sqlx::query(RESERVE)
        .bind(order_no)
        .bind(Hold::Frozen.as_str())
        .bind(millis(at))
        .execute(&mut *connection)
        .await?;
    if reserved.rows_affected() == 0 {
        return Err(Error::AlreadyReserved { order_no: order_no.to_owned() });
    }
    for line in lines {
        let taken = units::change(connection, Change::Freeze, line).await;
        if taken.is_err() && planted::is(Bug::FreezeNotAllOrNone) {
            continue;
        }
        taken?;
    }
    let mut reserve = QueryBuilder::<Sqlite>::new(RESERVE_LINES);
    reserve.push_values(lines, |mut row, line| {
        row.push_bind(order_no).push_bind(&line.sku).push_bind(line.quantity);
    });
    reserve.build().execute(&mut *connection).await?;
    flow::record(connection, Change::Freeze, lines, Some(order_no), at).await
}

/// Moves the order's reservation and all its units, and gives its lines.
pub(crate) async fn settle(
    connection: &mut Connection,
    order_no: &str,
    settlement: Settlement,
    at: Timestamp,
) -> Result<Vec<Line>, Error> {
    let moved = sqlx::query(MOVE)
        .bind(order_no)
        .bind(settlement.from.as_str())
        .bind(settlement.to.as_str())
        .bind(millis(at))
        .execute(&mut *connection)
        .await?;
    if moved.rows_affected() == 0 {
        return Err(refusal(connection, order_no, settlement).await?);
    }
    let lines = lines(connection, order_no).await?;
    for line in &lines {
        units::change(connection, settlement.change, line).await?;
    }
    flow::record(connection, settlement.change, &lines, Some(order_no), at).await?;
    Ok(lines)
}

async fn refusal(
    connection: &mut Connection,
    order_no: &str,
    settlement: Settlement,
) -> Result<Error, Error> {
    let state: Option<String> =
        sqlx::query_scalar(STATE).bind(order_no).fetch_optional(connection).await?;
    let order_no = order_no.to_owned();
    let Some(state) = state else { return Ok(Error::NothingReserved { order_no }) };
    Ok(match stock::read(&Hold::ALL, Hold::as_str, &state) {
        Some(state) => Error::Settled { order_no, state, wanted: settlement.from },
        None => Error::Unreadable { table: "reservation", key: order_no },
    })
}

async fn lines(connection: &mut Connection, order_no: &str) -> Result<Vec<Line>, Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as(LINES).bind(order_no).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(sku, quantity)| Line { sku, quantity }).collect())
}
