//! The record of every change of units.

use ::store::{Database, Row, millis};
use clock::Timestamp;

use crate::{
    error::Error,
    stock::{self, Change, Line},
    store::Connection,
};

const RECORD: &str =
    "insert into flow (sku, kind, quantity, order_no, at) values (?1, ?2, ?3, ?4, ?5)";

const PAGE: &str = "
    select seq, kind, quantity, order_no, at
    from flow
    where sku = ?1 and seq > ?2
    order by seq
    limit ?3";

/// One change of a SKU's units.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) seq: i64,
    pub(crate) change: Change,
    pub(crate) line: Line,
    /// None for units that were added.
    pub(crate) order_no: Option<String>,
    pub(crate) at: Timestamp,
}

/// Records one change of each line.
pub(super) fn record(
    connection: &Connection,
    change: Change,
    lines: &[Line],
    order_no: Option<&str>,
    at: Timestamp,
) -> Result<(), Error> {
    for Line { sku, quantity } in lines {
        connection.execute(RECORD, (sku, change.as_str(), quantity, order_no, millis(at)))?;
    }
    Ok(())
}

/// At most `limit` changes of the SKU's units behind the record `after`, oldest first.
pub(crate) async fn flows(
    database: &Database,
    sku: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Flow>, Error> {
    let sku = sku.to_owned();
    let read = database
        .read(move |connection| connection.all(PAGE, (&sku, after, limit), |row| read(row, &sku)));
    read.await
}

fn read(row: &Row<'_>, sku: &str) -> Result<Flow, Error> {
    let (seq, kind): (i64, String) = (row.get(0)?, row.get(1)?);
    let change = stock::read(&Change::ALL, Change::as_str, &kind);
    let (Some(at), Some(change)) = (row.instant(4)?, change) else {
        return Err(Error::Unreadable { table: "flow", key: seq.to_string() });
    };
    let line = Line { sku: sku.to_owned(), quantity: row.get(2)? };
    Ok(Flow { seq, change, line, order_no: row.get(3)?, at })
}
