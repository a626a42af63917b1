//! What orders hold: taken whole, and moved whole.

use ::store::{Row, millis};
use clock::Timestamp;

use crate::{
    error::Error,
    stock::{self, Change, Hold, Line, Settlement},
    store::{Connection, flow, units},
};

const RESERVE: &str = "
    insert into reservation (order_no, state, at)
    values (?1, ?2, ?3)
    on conflict (order_no) do nothing";

const RESERVE_LINE: &str =
    "insert into reservation_line (order_no, sku, quantity) values (?1, ?2, ?3)";

// The update is guarded by the state before it: of two moves that race, one changes no row.
const MOVE: &str = "update reservation set state = ?3, at = ?4 where order_no = ?1 and state = ?2";

const STATE: &str = "select state from reservation where order_no = ?1";

// The lines come in lock order, as they were frozen.
const LINES: &str = "select sku, quantity from reservation_line where order_no = ?1 order by sku";

/// Takes all lines for the order, or fails at the first that there is not enough of. `lines` are in lock order.
///
/// What can be seen to fail fails before anything is written, since a decline after a write has the other work of its
/// transaction run again. The statements are guarded all the same, for stores where transactions run side by side.
pub(crate) fn freeze(
    connection: &Connection,
    order_no: &str,
    lines: &[Line],
    at: Timestamp,
) -> Result<(), Error> {
    check(connection, order_no, lines)?;
    let frozen = Hold::Frozen.as_str();
    if connection.execute(RESERVE, (order_no, frozen, millis(at)))? == 0 {
        return Err(Error::AlreadyReserved { order_no: order_no.to_owned() });
    }
    for line in lines {
        units::change(connection, Change::Freeze, line)?;
    }
    for Line { sku, quantity } in lines {
        connection.execute(RESERVE_LINE, (order_no, sku, quantity))?;
    }
    flow::record(connection, Change::Freeze, lines, Some(order_no), at)
}

/// Whether the order may take the lines, by what is there now.
fn check(connection: &Connection, order_no: &str, lines: &[Line]) -> Result<(), Error> {
    if connection.optional(STATE, [order_no], |_| Ok::<_, Error>(()))?.is_some() {
        return Err(Error::AlreadyReserved { order_no: order_no.to_owned() });
    }
    lines.iter().try_for_each(|line| units::has(connection, line))
}

/// Moves the order's reservation and all its units, and gives its lines.
pub(crate) fn settle(
    connection: &Connection,
    order_no: &str,
    settlement: Settlement,
    at: Timestamp,
) -> Result<Vec<Line>, Error> {
    let (from, to) = (settlement.from.as_str(), settlement.to.as_str());
    if connection.execute(MOVE, (order_no, from, to, millis(at)))? == 0 {
        return Err(refusal(connection, order_no, settlement)?);
    }
    let lines = connection.all(LINES, [order_no], line)?;
    for line in &lines {
        units::change(connection, settlement.change, line)?;
    }
    flow::record(connection, settlement.change, &lines, Some(order_no), at)?;
    Ok(lines)
}

fn line(row: &Row<'_>) -> Result<Line, Error> {
    Ok(Line { sku: row.get(0)?, quantity: row.get(1)? })
}

fn refusal(
    connection: &Connection,
    order_no: &str,
    settlement: Settlement,
) -> Result<Error, Error> {
    let state: Option<String> = connection.optional(STATE, [order_no], |row| row.get(0))?;
    let order_no = order_no.to_owned();
    let Some(state) = state else { return Ok(Error::NothingReserved { order_no }) };
    Ok(match stock::read(&Hold::ALL, Hold::as_str, &state) {
        Some(state) => Error::Settled { order_no, state, wanted: settlement.from },
        None => Error::Unreadable { table: "reservation", key: order_no },
    })
}
