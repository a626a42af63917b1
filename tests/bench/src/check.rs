//! Whether the work was really done: asked of the databases, after the run.

use std::path::Path;

use anyhow::{Result, ensure};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{arguments::Workload, sold_out};

/// Every saga that was started has ended as it should, with a complete journal; in the shop the books add up. Gives how
/// many are no longer in the store: none, unless the run removes them. Of `sold-out`, `sagas` are calls without one.
pub(crate) async fn all(data: &Path, workload: Workload, sagas: u64, removes: bool) -> Result<u64> {
    let sold = match workload {
        Workload::SoldOut => {
            return books(data, 2 * sold_out::found(sagas), 0).await.map(|()| 0);
        }
        Workload::Noop | Workload::Decline => 0,
        Workload::PlaceOrder => 2 * sagas,
    };
    let mut journal = open(&data.join("orchestrator.db")).await?;
    let ended = match workload {
        Workload::Decline => "COMPENSATED",
        Workload::Noop | Workload::PlaceOrder | Workload::SoldOut => "SUCCEEDED",
    };
    let (found, other): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where state = $1), count(*) filter (where state <> $1) from saga",
    )
    .bind(ended)
    .fetch_one(&mut journal)
    .await?;
    let kept = u64::try_from(found)?;
    ensure!(
        other == 0 && (kept == sagas || removes && kept < sagas),
        "{sagas} sagas were started, {found} are {ended} and {other} are not"
    );
    let gaps: i64 = sqlx::query_scalar(
        "select count(*) from (select 1 from event group by place >> 20 \
         having count(*) <> max(place & 1048575) + 1 or min(place & 1048575) <> 0)",
    )
    .fetch_one(&mut journal)
    .await?;
    ensure!(gaps == 0, "{gaps} journals have gaps");
    let without: i64 = sqlx::query_scalar(
        "select count(*) from saga where not exists (select 1 from event where place = number << 20)",
    )
    .fetch_one(&mut journal)
    .await?;
    ensure!(without == 0, "{without} sagas have no journal");
    journal.close().await?;
    if workload != Workload::Noop {
        books(data, 0, sold).await?;
    }
    Ok(sagas - kept)
}

/// So many units are held, and so many are sold.
async fn books(data: &Path, frozen: u64, sold: u64) -> Result<()> {
    let mut stock = open(&data.join("stock.db")).await?;
    let (held, booked): (i64, i64) =
        sqlx::query_as("select sum(frozen), sum(sold) from stock").fetch_one(&mut stock).await?;
    stock.close().await?;
    ensure!(u64::try_from(held)? == frozen, "{frozen} units should be frozen, and {held} are");
    ensure!(u64::try_from(booked)? == sold, "{sold} units were sold, and {booked} are booked");
    Ok(())
}

async fn open(file: &Path) -> Result<SqliteConnection> {
    Ok(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await?)
}
