//! Sagas that take room: on a participant that is not there, or waiting for a person.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::StreamExt;
use proto::saga::v1::StartSagaRequest;
use tonic::Status;

use crate::{
    attack::Setup,
    participant::{Behaviour, SAGA, SERVICE},
    target::{Tally, Target},
};

/// Started at the same time.
const CONCURRENCY: usize = 64;
/// How many sagas the short form starts.
const SHORT_FORM_SAGAS: usize = 600;
const UNIMPLEMENTED: u8 = 12;

pub(crate) fn on_dead_participant() -> Setup {
    Setup { saga: Some((one_step("{}"), Behaviour::Dead)), ..Setup::default() }
}

/// The same, for more sagas than may run.
pub(crate) fn many_on_dead_participant() -> Setup {
    Setup { max_running_in_short: Some(SHORT_FORM_SAGAS / 2), ..on_dead_participant() }
}

/// The same, for a saga whose input has a type.
pub(crate) fn of_typed_input() -> Setup {
    let saga = format!("input: abuse.v1.StepRequest\n{}", one_step("{}"));
    Setup { saga: Some((saga, Behaviour::Dead)), ..Setup::default() }
}

pub(crate) fn in_attention() -> Setup {
    let behaviour = Behaviour::Status(UNIMPLEMENTED, Vec::new());
    Setup { saga: Some((one_step("{}"), behaviour)), ..Setup::default() }
}

/// A saga of one step that is tried for ever; `with` is its request, as YAML on one line.
pub(crate) fn one_step(with: &str) -> String {
    format!(
        "\
saga: {SAGA}
version: 1
descriptors: [abuse.proto]
deadline: 1h
steps:
  - step: step
    call: {SERVICE}/Step
    with: {with}
    undo: {SERVICE}/Undo
    timeout: 60s
    retry: {{ attempts: unlimited, base: 1s, cap: 10s }}
"
    )
}

/// Starts a saga of [`SAGA`] and gives its id.
pub(crate) async fn start(target: &Target, key: &str, input_json: &str) -> Result<String, Status> {
    let request = StartSagaRequest {
        definition: SAGA.to_owned(),
        key: key.to_owned(),
        input_json: input_json.to_owned(),
        ..StartSagaRequest::default()
    };
    Ok(target.clients.sagas.clone().start_saga(request).await?.into_inner().saga_id)
}

/// Starts 10,000.
pub(crate) async fn start_many(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    start_all(&target, target.count(10_000, SHORT_FORM_SAGAS)).await;
    Ok(())
}

/// Starts so many, and tells how many were.
pub(crate) async fn start_all(target: &Target, sagas: usize) {
    let (started, refused) = (Tally::default(), Tally::default());
    let _note = target
        .note_at_end(|| format!("{} sagas started, {} refused", started.sum(), refused.sum()));
    let starts = futures::stream::iter(0..sagas);
    starts
        .for_each_concurrent(CONCURRENCY, async |number| {
            match start(target, &format!("saga-{number}"), "{}").await {
                Ok(_) => started.add(1),
                Err(_) => refused.add(1),
            }
        })
        .await;
}

/// Starts one on which others can wait.
pub(crate) async fn start_one(target: &Target) -> Result<String> {
    start(target, "the-one", "{}").await.context("starting a saga")
}
