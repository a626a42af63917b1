//! Lists of a journal that holds many sagas: how long each takes, asked through the API.

#![expect(clippy::disallowed_methods, reason = "a bench reads the machine's time")]

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use proto::saga::v1::{ListSagasRequest, SagaState, saga_service_client::SagaServiceClient};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tonic::transport::Channel;

use crate::{
    arguments::{Run, Workload},
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
    make_some_rare(&data).await?;
    let system = run::system(run::arguments(arguments, &data, None))?;
    let mut client = SagaServiceClient::new(run::channel(&system.addresses[0])?);
    println!("{held} sagas in the store, {ROUNDS} times each:");
    for (name, request) in lists(held) {
        time(&mut client, name, &request).await?;
    }
    drop(client);
    system.stop().map(drop)
}

async fn make_some_rare(data: &Path) -> Result<()> {
    let options = SqliteConnectOptions::new().filename(data.join("orchestrator.db"));
    let mut journal = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(MAKE_SOME_RARE).execute(&mut journal).await?;
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

async fn time(
    client: &mut SagaServiceClient<Channel>,
    name: &str,
    request: &ListSagasRequest,
) -> Result<()> {
    let mut took = Vec::with_capacity(ROUNDS);
    let mut rows = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        rows = client.list_sagas(request.clone()).await?.into_inner().sagas.len();
        took.push(begun.elapsed());
    }
    took.sort();
    let ms = |at: usize| took[at].as_secs_f64() * 1_000.0;
    println!(
        "  {name:<32} {rows:>4} rows, median {:>7.2} ms, longest {:>7.2} ms",
        ms(ROUNDS / 2),
        ms(ROUNDS - 1)
    );
    Ok(())
}
