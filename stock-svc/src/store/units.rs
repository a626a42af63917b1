//! Where a SKU's units are, and the one statement that moves them.

use ::store::{Database, Row};
use clock::Timestamp;

use crate::{
    error::Error,
    stock::{Change, Line, UNITS_MAX, Units},
    store::{Connection, flow},
};

// Relative and guarded, in one statement: two orders cannot both take the last unit, since the second sees what the
// first has left. Without `returning`: SQLite builds a table for what it returns, which costs more than a query.
const CHANGE: &str = "
    update stock
    set available = available + ?2, frozen = frozen + ?3, sold = sold + ?4
    where sku = ?1
      and available + ?2 >= 0 and frozen + ?3 >= 0 and sold + ?4 >= 0
      and available + frozen + sold + ?2 + ?3 + ?4 <= ?5";

const UNITS: &str = "select available, frozen, sold from stock where sku = ?1";

/// Adds new units.
pub(crate) fn add(connection: &Connection, line: &Line, at: Timestamp) -> Result<Units, Error> {
    change(connection, Change::Add, line)?;
    flow::record(connection, Change::Add, std::slice::from_ref(line), None, at)?;
    of(connection, &line.sku)
}

/// Moves a line's units. The caller records it.
pub(super) fn change(connection: &Connection, change: Change, line: &Line) -> Result<(), Error> {
    let Units { available, frozen, sold } = change.of(line.quantity);
    match connection.execute(CHANGE, (&line.sku, available, frozen, sold, UNITS_MAX))? {
        0 => Err(refusal(change, line, of(connection, &line.sku)?)),
        _ => Ok(()),
    }
}

/// Says no unless there are so many units available.
pub(super) fn has(connection: &Connection, line: &Line) -> Result<(), Error> {
    let units = of(connection, &line.sku)?;
    match units.available >= line.quantity {
        true => Ok(()),
        false => Err(refusal(Change::Freeze, line, units)),
    }
}

/// Why the line does not pass where the SKU's units are these.
fn refusal(change: Change, line: &Line, units: Units) -> Error {
    let (sku, asked, available) = (line.sku.clone(), line.quantity, units.available);
    match change {
        Change::Add => Error::OverLimit { sku, asked },
        Change::Freeze => Error::InsufficientStock { sku, asked, available },
        // A reservation always has its units, so the stored data is wrong, and no caller can mend that.
        Change::Confirm | Change::Unfreeze | Change::Restock => {
            Error::Unreadable { table: "stock", key: sku }
        }
    }
}

/// Where the SKU's units are.
pub(crate) async fn units(database: &Database, sku: &str) -> Result<Units, Error> {
    let sku = sku.to_owned();
    database.read(move |connection| of(connection, &sku)).await
}

fn of(connection: &Connection, sku: &str) -> Result<Units, Error> {
    let units = connection.optional(UNITS, [sku], read)?;
    units.ok_or_else(|| Error::SkuUnknown { sku: sku.to_owned() })
}

fn read(row: &Row<'_>) -> Result<Units, Error> {
    Ok(Units { available: row.get(0)?, frozen: row.get(1)?, sold: row.get(2)? })
}
