//! Many who look at one saga.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use proto::saga::v1::{
    GetSagaRequest, PauseSagaRequest, ResumeSagaRequest, WaitSagaRequest, WatchSagaRequest,
};
use tokio::task::JoinSet;

use super::sagas;
use crate::{
    target::{Tally, Target},
    wire::{self, RawConnection, Reading},
};

const WAIT: &str = "/sagamesh.saga.v1.SagaService/WaitSaga";
const WATCH: &str = "/sagamesh.saga.v1.SagaService/WatchSaga";
const CALLS_PER_CONNECTION: usize = 1_000;
const READERS: usize = 16;
const LENGTHEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Waits for the end of a saga that is paused.
pub(crate) async fn wait(target: Arc<Target>) -> Result<()> {
    let saga_id = sagas::start_one(&target).await?;
    pause(&target, &saga_id).await?;
    let timeout = Some(prost_types::Duration { seconds: 300, nanos: 0 });
    let request = WaitSagaRequest { saga_id, timeout, ..WaitSagaRequest::default() };
    ask_at_once(&target, WAIT, &request, target.count(1_000, 500)).await
}

/// Watches a saga that goes on.
pub(crate) async fn watch(target: Arc<Target>) -> Result<()> {
    let saga_id = sagas::start_one(&target).await?;
    let request = WatchSagaRequest { saga_id, after_seq: 0 };
    ask_at_once(&target, WATCH, &request, target.count(2_000, 500)).await
}

/// Asks so often, and holds the calls.
async fn ask_at_once(
    target: &Target,
    path: &str,
    request: &impl prost::Message,
    calls: usize,
) -> Result<()> {
    target.start_measuring();
    let mut held = Vec::new();
    for first in (0..calls).step_by(CALLS_PER_CONNECTION) {
        let mut wire = RawConnection::open(target.orchestrator(), &[], Reading::All).await?;
        for number in 0..CALLS_PER_CONNECTION.min(calls - first) {
            wire.send(&wire::whole_call(2 * number as u32 + 1, path, request)).await?;
        }
        held.push(wire);
    }
    target.note(format!("{calls} calls of {path}"));
    std::future::pending().await
}

/// Makes a saga's journal long, and reads it.
pub(crate) async fn read_long(target: Arc<Target>) -> Result<()> {
    let saga_id = sagas::start_one(&target).await?;
    let written = Tally::default();
    let lengthened = lengthen(&target, &saga_id, target.count(7_000, 500), &written);
    // A slow disk makes it shorter.
    let _ = target.clock.timeout(LENGTHEN_TIMEOUT, lengthened).await;
    let written = written.sum();
    target.start_measuring();
    let read = Arc::new(Tally::default());
    let _note =
        target.note_at_end(|| format!("a saga of {written} records was read {} times", read.sum()));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read_again(Arc::clone(&target), saga_id.clone(), Arc::clone(&read)));
    }
    while readers.join_next().await.is_some() {}
    Ok(())
}

/// Pauses and resumes the saga until it has so many records.
async fn lengthen(target: &Target, saga_id: &str, records: usize, written: &Tally) -> Result<()> {
    while written.sum() < records as u64 {
        pause(target, saga_id).await?;
        let (saga_id, reason) = (saga_id.to_owned(), "to go on".to_owned());
        let resume = ResumeSagaRequest { saga_id, reason };
        target.clients.sagas.clone().resume_saga(resume).await?;
        written.add(2);
    }
    Ok(())
}

async fn read_again(target: Arc<Target>, saga_id: String, read: Arc<Tally>) {
    loop {
        let request = GetSagaRequest { saga_id: saga_id.clone(), include_payloads: false };
        let _ = target.clients.sagas.clone().get_saga(request).await;
        read.add(1);
    }
}

async fn pause(target: &Target, saga_id: &str) -> Result<()> {
    let pause = PauseSagaRequest { saga_id: saga_id.to_owned(), reason: "to stand".to_owned() };
    target.clients.sagas.clone().pause_saga(pause).await.context("pausing a saga")?;
    Ok(())
}
