//! A journal with many sagas in it that ended long ago.

use std::path::Path;

use anyhow::{Result, ensure};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    arguments::{self, Run, Workload},
    run,
    system::System,
};

/// Sagas that one transaction writes.
const AT_ONCE: u64 = 100_000;

// The pattern is number 1. Their ids stand before every id that a node gives, and like their keys in the order in which
// they are written.
const SAGAS: &str = "
    with recursive number (i) as (select $1 union all select i + 1 from number where i + 1 < $2)
    insert into saga
    select i + 2, printf('00000000-0000-0000-0000-%012d', i), definition_hash, definition, version,
           printf('stored %012d', i), request, request_hash, trace, deadline, created_at, updated_at, state, null, null
    from number cross join saga
    where id = $3";

const EVENTS: &str = "
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
    ensure!(run.workload == Workload::Noop, "--stored is measured with --workload noop");
    // It must still be there to be copied.
    let kept = arguments::System { keep_finished: None, ..run::arguments(run, data, None) };
    let system = System::start(kept).await?;
    let ran = run::near_gun(run, &system).await?(u64::MAX).await;
    system.stop().await?;
    ran?;
    let options = SqliteConnectOptions::new()
        .filename(data.join("orchestrator.db"))
        // What is lost here is made again.
        .pragma("synchronous", "off");
    let mut journal = SqliteConnection::connect_with(&options).await?;
    let pattern: String = sqlx::query_scalar("select id from saga").fetch_one(&mut journal).await?;
    let mut from = 0;
    while from < run.stored {
        let to = run.stored.min(from + AT_ONCE);
        let mut transaction = journal.begin().await?;
        for statement in [SAGAS, EVENTS] {
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
    // What the system has still to write would be in the way of the run.
    std::fs::File::open(data.join("orchestrator.db"))?.sync_all()?;
    Ok(run.stored + 1)
}
