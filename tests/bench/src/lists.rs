//! Lists of a journal that holds many sagas, and what is counted of as many compensations: how long each takes, asked through
//! the API.

#![expect(clippy::disallowed_methods, reason = "a bench reads the machine's time")]

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, ensure};
use proto::saga::v1::{
    GetCompensationStatsRequest, ListSagasRequest, SagaState,
    saga_service_client::SagaServiceClient,
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    arguments::{Run, SystemTelemetry, Workload},
    run, stored,
};

/// How often each list is asked for.
const ROUNDS: usize = 50;

// Gives a few of the sagas other states, which a scan would have to search for. Those in ATTENTION stand aside, because
// their journals are copies.
const MAKE_SOME_RARE: &str = "
    update saga set state = 'COMPENSATED', reason_code = 'NO', reason_message = 'no', reason_step = 'one'
    where number % 10000 = 7;
    update saga set aside_code = 'JOURNAL_UNREADABLE', aside_message = 'a copy', state = 'RUNNING'
    where number % 100000 = 9";

// As many compensations as there are sagas, one each 86 ms, which is a million a day; of two definitions.
const COUNT_COMPENSATIONS: &str = "
    with recursive number (i) as (select 1 union all select i + 1 from number where i < $1),
         ended (at, definition, lasted) as (
             select unixepoch() * 1000 - i * 86, case when i % 3 = 0 then 'noop' else 'other' end, i % 5000 from number
         ),
         length (ms) as (values (1), (1000), (60000), (3600000), (86400000))
    insert into compensation_count
    select ms, at / ms * ms, definition, count(*), 0, max(lasted), '' from ended cross join length
    group by 1, 2, 3";

/// Fills the store with `arguments.stored` sagas, a few of them rare ones, and times the lists.
pub(crate) async fn run(arguments: &Run) -> Result<()> {
    ensure!(
        arguments.workload == Workload::Noop && arguments.stored > 0,
        "lists are measured with --workload noop and --stored"
    );
    std::fs::create_dir_all(&arguments.data)?;
    let folder = tempfile::tempdir_in(&arguments.data)?;
    let data = folder.path().join("data");
    let held = stored::fill(arguments, &data).await?;
    make_some_rare(&data, held).await?;
    let system = run::system(run::arguments(arguments, &data, None, SystemTelemetry::OFF))?;
    let client = SagaServiceClient::new(run::channel(&system.addresses[0])?);
    println!("{held} sagas in the store, {ROUNDS} times each:");
    for (name, request) in lists(held) {
        let mut client = client.clone();
        time(name, async || {
            Ok(client.list_sagas(request.clone()).await?.into_inner().sagas.len().try_into()?)
        })
        .await?;
    }
    println!("and as many compensations:");
    for (name, request) in stats() {
        let mut client = client.clone();
        time(name, async || {
            Ok(client.get_compensation_stats(request.clone()).await?.into_inner().total)
        })
        .await?;
    }
    drop(client);
    system.stop().map(drop)
}

async fn make_some_rare(data: &Path, held: u64) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(data.join("orchestrator.db"));
    let mut journal = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(MAKE_SOME_RARE).execute(&mut journal).await?;
    sqlx::query(COUNT_COMPENSATIONS).bind(i64::try_from(held)?).execute(&mut journal).await?;
    journal.close().await?;
    Ok(())
}

fn lists(held: u64) -> Vec<(&'static str, ListSagasRequest)> {
    let all = ListSagasRequest::default;
    let in_state = |state: SagaState| ListSagasRequest { states: vec![state.into()], ..all() };
    let middle = format!("stored {:012}", held / 2);
    // No saga started after this instant: an empty list takes the longest search.
    let never = Some(prost_types::Timestamp { seconds: 253_402_300_000, nanos: 0 });
    let early = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    vec![
        ("all", all()),
        ("--state attention", in_state(SagaState::Attention)),
        ("--state running", in_state(SagaState::Running)),
        ("--state paused", in_state(SagaState::Paused)),
        ("--state compensated", in_state(SagaState::Compensated)),
        ("--state succeeded", in_state(SagaState::Succeeded)),
        ("--key", ListSagasRequest { key: middle, ..all() }),
        ("--key of none", ListSagasRequest { key: "nobody's".to_owned(), ..all() }),
        ("--definition of none", ListSagasRequest { definition: "none".to_owned(), ..all() }),
        ("--started-after, none", ListSagasRequest { started_after: never, ..all() }),
        ("--started-before, all", ListSagasRequest { started_before: never, ..all() }),
        ("--started-before, early", ListSagasRequest { started_before: early, ..all() }),
        (
            "--state attention --definition",
            ListSagasRequest { definition: "noop".to_owned(), ..in_state(SagaState::Attention) },
        ),
    ]
}

/// Windows of compensations. One that ends now begins in the midst of a second, which is where most rows are read.
fn stats() -> Vec<(&'static str, GetCompensationStatsRequest)> {
    let last = |seconds: u64| {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let from = since_epoch.unwrap_or_default().saturating_sub(Duration::from_secs(seconds));
        GetCompensationStatsRequest {
            from: Some(at(from)),
            ..GetCompensationStatsRequest::default()
        }
    };
    let all = || GetCompensationStatsRequest {
        from: Some(at(Duration::from_secs(1))),
        to: Some(at(Duration::from_secs(253_402_300_000))),
        ..GetCompensationStatsRequest::default()
    };
    vec![
        ("stats of the last hour", GetCompensationStatsRequest::default()),
        ("--last 10s", last(10)),
        ("--last 13h", last(13 * 3_600)),
        ("all", all()),
        (
            "all --definition",
            GetCompensationStatsRequest { definition: "noop".to_owned(), ..all() },
        ),
    ]
}

fn at(since_epoch: Duration) -> prost_types::Timestamp {
    let seconds = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    prost_types::Timestamp { seconds, nanos: since_epoch.subsec_nanos().try_into().unwrap_or(0) }
}

/// Times what gives a number, of rows or of what is counted.
async fn time(name: &str, mut ask: impl AsyncFnMut() -> Result<u32>) -> Result<()> {
    let mut took = Vec::with_capacity(ROUNDS);
    let mut found = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        found = ask().await?;
        took.push(begun.elapsed());
    }
    took.sort();
    let ms = |at: usize| took[at].as_secs_f64() * 1_000.0;
    println!(
        "  {name:<32} {found:>7}, median {:>7.2} ms, longest {:>7.2} ms",
        ms(ROUNDS / 2),
        ms(ROUNDS - 1)
    );
    Ok(())
}
