//! Answers of a participant that are too large.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use proto::saga::v1::{GetSagaRequest, Saga, SagaState};
use tonic::Status;

use super::sagas;
use crate::{attack::Setup, participant::Behaviour, target::Target};

const MIB: u32 = 1024 * 1024;
const FAILED_PRECONDITION: u8 = 9;
/// How often the sagas are looked at.
const INTERVAL: Duration = Duration::from_millis(200);
/// By then it shows what becomes of them, and the orders beside them are still placed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(8);

fn that(behaviour: Behaviour) -> Setup {
    Setup { saga: Some((sagas::one_step("{}"), behaviour)), ..Setup::default() }
}

fn answers(announced: u32) -> Setup {
    that(Behaviour::Answer { announced, bytes: announced.into() })
}

pub(crate) fn answers_200_mib() -> Setup {
    answers(200 * MIB)
}

pub(crate) fn answers_4_gib() -> Setup {
    answers(u32::MAX)
}

pub(crate) fn announces_1_gib() -> Setup {
    answers(1_126 * MIB)
}

pub(crate) fn fails_at_length() -> Setup {
    let (message, details) = ("m".repeat(MIB as usize), "AAAA".repeat(MIB as usize / 4));
    that(Behaviour::Status(
        FAILED_PRECONDITION,
        vec![("grpc-message", message), ("grpc-status-details-bin", details)],
    ))
}

/// Starts a few sagas, each of which must come to need a person: asking again would not help.
pub(crate) async fn need_a_person(target: Arc<Target>) -> Result<()> {
    start_few(target, SagaState::Attention).await
}

/// Starts a few sagas, each of which must turn back: the status says so, however long its texts are.
pub(crate) async fn turn_back(target: Arc<Target>) -> Result<()> {
    start_few(target, SagaState::Compensated).await
}

async fn start_few(target: Arc<Target>, wanted: SagaState) -> Result<()> {
    target.start_measuring();
    let mut ids = Vec::new();
    for number in 0..target.count(4, 1) {
        ids.push(sagas::start(&target, &format!("answer-{number}"), "{}").await?);
    }
    follow(&target, &ids, &[wanted]).await;
    Ok(())
}

/// Tells where each saga comes to stand; it must be one of those that are wanted, and soon.
pub(crate) async fn follow(target: &Target, ids: &[String], wanted: &[SagaState]) {
    let all = async {
        for saga_id in ids {
            let saga = settled(target, saga_id).await?;
            let stands = format!("{:?} {}", saga.state(), saga.reason);
            if !wanted.contains(&saga.state()) {
                target.violation(format!("a saga came to {stands} and not to {wanted:?}"));
            }
            target.note(format!("sagas came to {stands}"));
        }
        Ok::<_, Status>(())
    };
    match target.clock.timeout(SETTLE_TIMEOUT, all).await {
        Ok(Ok(())) => {}
        Ok(Err(status)) => {
            target.violation(format!("a saga cannot be looked at: {:?}", status.code()))
        }
        Err(clock::Elapsed) => {
            target.violation(format!("a saga goes on for more than {SETTLE_TIMEOUT:?}"))
        }
    }
}

/// The saga when it has ended or is held.
async fn settled(target: &Target, saga_id: &str) -> Result<Saga, Status> {
    loop {
        let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
        let answer = target.clients.sagas.clone().get_saga(request).await?.into_inner();
        let saga = answer.saga.unwrap_or_default();
        if ![SagaState::Running, SagaState::Compensating].contains(&saga.state()) {
            return Ok(saga);
        }
        target.clock.sleep(INTERVAL).await;
    }
}
