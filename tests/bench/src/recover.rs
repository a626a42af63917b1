//! Recovery: many sagas are left unfinished, the orchestrator is killed, and it is timed how they are finished.

#![expect(clippy::disallowed_methods, reason = "a bench reads the machine's time")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use proto::saga::v1::{
    ListSagasRequest, SagaState, StartSagaRequest, saga_service_client::SagaServiceClient,
};
use serde::Serialize;
use tonic::transport::Channel;

use crate::{
    arguments::{self, Run, SystemTelemetry, Workload},
    check,
    child::Process,
    probe, report, run,
};

const STARTS_AT_ONCE: usize = 256;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize)]
struct Row {
    workload: &'static str,
    unfinished: u64,
    first_moved_s: f64,
    all_finished_s: f64,
    peak_rss_mb: f64,
    commits_per_s_before: f64,
    commits_per_s_after: f64,
}

pub(crate) async fn run(arguments: &Run) -> Result<()> {
    let sagas = arguments.recover.context("the number of sagas")?;
    ensure!(arguments.workload == Workload::Noop, "recovery is measured with --workload noop");
    std::fs::create_dir_all(&arguments.data)?;
    let folder = tempfile::tempdir_in(&arguments.data)?;
    let data = folder.path().join("data");
    let before = probe::commits_per_s(folder.path())?;

    let silent = Process::start(&["participant", "--hold"])?;
    // All sagas must be running at the same time.
    let max_running = usize::MAX;
    let of = |participant: &Process| arguments::System {
        workload: Workload::Noop,
        data: data.clone(),
        steps: arguments.steps,
        max_running,
        participant: Some(participant.addresses[0].clone()),
        keep_finished: None,
        keep_inbox: None,
        telemetry: SystemTelemetry::OFF,
    };
    let system = run::system(of(&silent))?;
    println!("starting {sagas} sagas whose first step is never answered");
    begin(&system, sagas).await?;
    system.kill()?;
    drop(silent);

    let participant = Process::start(&["participant"])?;
    let started = Instant::now();
    let system = run::system(of(&participant))?;
    let mut client = client(&system)?;
    while !any(&mut client, SagaState::Succeeded).await? {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let first_moved_s = started.elapsed().as_secs_f64();
    while any(&mut client, SagaState::Running).await? {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let all_finished_s = started.elapsed().as_secs_f64();
    let peak_rss_mb = system.peak_rss_mb()?;
    drop(client);
    system.stop()?;
    check::all(&data, Workload::Noop, sagas, false).await?;
    let row = Row {
        workload: "noop",
        unfinished: sagas,
        first_moved_s,
        all_finished_s,
        peak_rss_mb,
        commits_per_s_before: before,
        commits_per_s_after: probe::commits_per_s(folder.path())?,
    };
    println!(
        "{sagas} unfinished sagas: the first ended after {first_moved_s:.2} s, the last after {all_finished_s:.2} s \
         ({:.0} a second), {peak_rss_mb:.0} MB at most, probe {:.0} and {:.0} commits/s",
        sagas as f64 / all_finished_s,
        row.commits_per_s_before,
        row.commits_per_s_after,
    );
    arguments.json.as_ref().map_or(Ok(()), |file| report::append(file, &row))
}

fn client(system: &Process) -> Result<SagaServiceClient<Channel>> {
    Ok(SagaServiceClient::new(run::channel(&system.addresses[0])?))
}

async fn begin(system: &Process, sagas: u64) -> Result<()> {
    let client = client(system)?;
    futures::stream::iter(0..sagas)
        .map(Ok::<_, anyhow::Error>)
        .try_for_each_concurrent(STARTS_AT_ONCE, |number| {
            let mut client = client.clone();
            async move {
                let request = StartSagaRequest {
                    definition: "noop".to_owned(),
                    input_json: format!(r#"{{"token": "{number}"}}"#),
                    ..StartSagaRequest::default()
                };
                client.start_saga(request).await?;
                Ok(())
            }
        })
        .await
}

async fn any(client: &mut SagaServiceClient<Channel>, state: SagaState) -> Result<bool> {
    let request = ListSagasRequest {
        states: vec![state.into()],
        page_size: 1,
        ..ListSagasRequest::default()
    };
    Ok(!client.list_sagas(request).await?.into_inner().sagas.is_empty())
}
