//! Where a SKU's units are, and the one statement that moves them.

use clock::Timestamp;
use participant::Database;
use sqlx::SqliteExecutor;

use crate::{
    error::Error,
    stock::{Change, Line, UNITS_MAX, Units},
    store::{Connection, flow},
};

// Relative and guarded, in one statement: two orders cannot both take the last unit, since the second sees what the
// first has left.
const CHANGE: &str = "
    update stock
    set available = available + $2, frozen = frozen + $3, sold = sold + $4
    where sku = $1
      and available + $2 >= 0 and frozen + $3 >= 0 and sold + $4 >= 0
      and available + frozen + sold + $2 + $3 + $4 <= $5
    returning available, frozen, sold";

const UNITS: &str = "select available, frozen, sold from stock where sku = $1";

/// Adds new units.
pub(crate) async fn add(
    connection: &mut Connection,
    line: &Line,
    at: Timestamp,
) -> Result<Units, Error> {
    let units = change(connection, Change::Add, line).await?;
    flow::record(connection, Change::Add, std::slice::from_ref(line), None, at).await?;
    Ok(units)
}

/// Moves a line's units. The caller records it.
pub(super) async fn change(
    connection: &mut Connection,
    change: Change,
    line: &Line,
) -> Result<Units, Error> {
    let by = change.of(line.quantity);
    let moved: Option<Row> = sqlx::query_as(CHANGE)
        .bind(&line.sku)
        .bind(by.available)
        .bind(by.frozen)
        .bind(by.sold)
        .bind(UNITS_MAX)
        .fetch_optional(&mut *connection)
        .await?;
    match moved {
        Some(moved) => Ok(moved.into()),
        None => Err(refusal(connection, change, line).await?),
    }
}

/// Why the guard let the line not pass.
async fn refusal(connection: &mut Connection, change: Change, line: &Line) -> Result<Error, Error> {
    let Units { available, .. } = of(connection, &line.sku).await?;
    let (sku, asked) = (line.sku.clone(), line.quantity);
    Ok(match change {
        Change::Add => Error::OverLimit { sku, asked },
        Change::Freeze => Error::InsufficientStock { sku, asked, available },
        // A reservation has its units behind it: the books are wrong, and no caller can mend that.
        Change::Confirm | Change::Unfreeze | Change::Restock => {
            Error::Unreadable { table: "stock", key: sku }
        }
    })
}

/// Where the SKU's units are.
pub(crate) async fn units(database: &Database, sku: &str) -> Result<Units, Error> {
    of(database.read(), sku).await
}

async fn of(executor: impl SqliteExecutor<'_>, sku: &str) -> Result<Units, Error> {
    let row: Option<Row> = sqlx::query_as(UNITS).bind(sku).fetch_optional(executor).await?;
    row.map(Units::from).ok_or_else(|| Error::SkuUnknown { sku: sku.to_owned() })
}

#[derive(sqlx::FromRow)]
struct Row {
    available: i64,
    frozen: i64,
    sold: i64,
}

impl From<Row> for Units {
    fn from(row: Row) -> Self {
        Self { available: row.available, frozen: row.frozen, sold: row.sold }
    }
}
