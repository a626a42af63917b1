//! A journal with many sagas in it that ended long ago, or inboxes with many old rows.

use std::path::Path;

use anyhow::Result;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    arguments::{self, Run, SystemTelemetry, Workload},
    run,
    system::System,
};

/// Sagas that one transaction writes.
const BATCH: u64 = 100_000;

// The pattern is number 1. Their ids stand before every id that a node gives, and like their keys in the order in which
// they are written.
const COPY_SAGAS: &str = "
    with recursive number (i) as (select $1 union all select i + 1 from number where i + 1 < $2)
    insert into saga (number, id, definition_hash, definition, version, key, request, trace, deadline, created_at,
                      updated_at, state, state_seq, state_link)
    select i + 2, printf('00000000-0000-0000-0000-%012d', i), definition_hash, definition, version,
           printf('stored %012d', i), request, trace, deadline, created_at, updated_at, state, state_seq, state_link
    from number cross join saga
    where id = $3";

const COPY_KEYS: &str = "
    with recursive number (i) as (select $1 union all select i + 1 from number where i + 1 < $2)
    insert into saga_key (key, definition, request_hash, saga_id)
    select printf('stored %012d', i), definition, request_hash, printf('00000000-0000-0000-0000-%012d', i)
    from number cross join saga_key
    where saga_id = $3";

const COPY_EVENTS: &str = "
    with recursive number (i) as (select $1 union all select i + 1 from number where i + 1 < $2)
    insert into event
    select i + 2 << 20 | seq, at, record, link
    from number cross join journal
    where saga_id = $3";

/// Fills the journal in `data` with `run.stored` copies of a saga that really ran; gives how many it holds then.
pub(crate) async fn fill(run: &Run, data: &Path) -> Result<u64> {
    if run.stored == 0 {
        return Ok(0);
    }
    if run.workload != Workload::Noop {
        return fill_inboxes(run, data).await.map(|()| 0);
    }
    // The pattern saga must not be removed before it is copied.
    let kept = arguments::System {
        keep_finished: None,
        ..run::arguments(run, data, None, SystemTelemetry::OFF)
    };
    let system = System::start(kept).await?;
    let ran = run::in_process_operation(run, &system).await?(u64::MAX).await;
    system.stop().await?;
    ran?;
    let mut journal = open(&data.join("orchestrator.db")).await?;
    let pattern: String = sqlx::query_scalar("select id from saga").fetch_one(&mut journal).await?;
    let mut from = 0;
    while from < run.stored {
        let to = run.stored.min(from + BATCH);
        let mut transaction = journal.begin().await?;
        for statement in [COPY_SAGAS, COPY_KEYS, COPY_EVENTS] {
            sqlx::query(statement)
                .bind(i64::try_from(from)?)
                .bind(i64::try_from(to)?)
                .bind(&pattern)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        from = to;
        eprintln!("  {from} of {} sagas stored", run.stored);
    }
    journal.close().await?;
    // Waits until the disk has written everything, which would otherwise slow the run down.
    std::fs::File::open(data.join("orchestrator.db"))?.sync_all()?;
    Ok(run.stored + 1)
}

const INBOX_FILES: [&str; 4] = ["order.db", "stock.db", "points.db", "payment.db"];

// The rows are of sagas that began ten days ago, one each millisecond.
const INSERT_INBOX_ROWS: &str = "
    with recursive number (i) as (select 0 union all select i + 1 from number where i + 1 < $1),
         saga (i, at) as (select i, (unixepoch() - 864000) * 1000 + i from number)
    insert into inbox
    select printf('saga/%08x-%04x-7000-8000-%012x/step/forward', at >> 16, at & 65535, i),
           zeroblob(32), 'done', zeroblob(100), null, null, '', at
    from saga";

const COUNT_OLD_ROWS: &str = "select count(*) from inbox where at < (unixepoch() - 432000) * 1000";

/// Fills each service's inbox with `run.stored` rows.
async fn fill_inboxes(run: &Run, data: &Path) -> Result<()> {
    let kept = arguments::System {
        keep_inbox: None,
        ..run::arguments(run, data, None, SystemTelemetry::OFF)
    };
    System::start(kept).await?.stop().await?;
    for file in INBOX_FILES {
        let mut inbox = open(&data.join(file)).await?;
        sqlx::query(INSERT_INBOX_ROWS).bind(i64::try_from(run.stored)?).execute(&mut inbox).await?;
        inbox.close().await?;
        std::fs::File::open(data.join(file))?.sync_all()?;
    }
    Ok(())
}

/// Says how many old rows the services' inboxes still hold.
pub(crate) async fn print_old_rows(run: &Run, data: &Path) -> Result<()> {
    if run.workload == Workload::Noop || run.stored == 0 {
        return Ok(());
    }
    for file in INBOX_FILES {
        let mut inbox = open(&data.join(file)).await?;
        let left: i64 = sqlx::query_scalar(COUNT_OLD_ROWS).fetch_one(&mut inbox).await?;
        inbox.close().await?;
        eprintln!("  {left} of {} old rows left in {file}", run.stored);
    }
    Ok(())
}

async fn open(file: &Path) -> Result<SqliteConnection> {
    // The file can be made again, so its commits need not wait for the disk.
    let options = SqliteConnectOptions::new().filename(file).pragma("synchronous", "off");
    Ok(SqliteConnection::connect_with(&options).await?)
}
