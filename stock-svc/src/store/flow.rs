//! The record of every change of units.

use clock::Timestamp;
use participant::Database;
use sqlx::{QueryBuilder, Sqlite};

use crate::{
    error::Error,
    stock::{self, Change, Line},
    store::{Connection, millis},
};

const RECORD: &str = "insert into flow (sku, kind, quantity, order_no, at) ";

const PAGE: &str = "
    select seq, kind, quantity, order_no, at
    from flow
    where sku = $1 and seq > $2
    order by seq
    limit $3";

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

/// Records one change of each line. There is a line at least.
pub(super) async fn record(
    connection: &mut Connection,
    change: Change,
    lines: &[Line],
    order_no: Option<&str>,
    at: Timestamp,
) -> Result<(), Error> {
    let mut record = QueryBuilder::<Sqlite>::new(RECORD);
    record.push_values(lines, |mut row, line| {
        row.push_bind(&line.sku)
            .push_bind(change.as_str())
            .push_bind(line.quantity)
            .push_bind(order_no)
            .push_bind(millis(at));
    });
    record.build().execute(connection).await?;
    Ok(())
}

/// At most `limit` changes of the SKU's units behind the record `after`, oldest first.
pub(crate) async fn flows(
    database: &Database,
    sku: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Flow>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as(PAGE).bind(sku).bind(after).bind(limit).fetch_all(database.read()).await?;
    rows.into_iter().map(|row| row.flow(sku)).collect()
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    kind: String,
    quantity: i64,
    order_no: Option<String>,
    at: i64,
}

impl Row {
    fn flow(self, sku: &str) -> Result<Flow, Error> {
        let unreadable = || Error::Unreadable { table: "flow", key: self.seq.to_string() };
        let change = stock::read(&Change::ALL, Change::as_str, &self.kind);
        Ok(Flow {
            seq: self.seq,
            change: change.ok_or_else(unreadable)?,
            line: Line { sku: sku.to_owned(), quantity: self.quantity },
            order_no: self.order_no.clone(),
            at: Timestamp(u64::try_from(self.at).map_err(|_| unreadable())?),
        })
    }
}
