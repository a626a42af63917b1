//! Expressions that work for ever: by themselves, or by what they are given.

use std::sync::Arc;

use anyhow::Result;
use proto::saga::v1::SagaState;

use super::{participants, sagas};
use crate::{attack::Setup, participant::Behaviour, target::Target};

/// A map over this list inside each of another's elements.
fn maps(depth: usize, list: &str) -> String {
    (0..depth).fold("1".to_owned(), |inner, level| format!("{list}.map(x{level}, {inner})"))
}

fn with_sum(expression: &str) -> Setup {
    let saga = sagas::one_step(&format!("{{ sum: \"size({expression})\" }}"));
    Setup { saga: Some((saga, Behaviour::Dead)), ..Setup::default() }
}

/// Ten to the ninth elements.
pub(crate) fn nested() -> Setup {
    with_sum(&maps(9, "[0,1,2,3,4,5,6,7,8,9]"))
}

/// As many elements as the request's list has, to the third.
pub(crate) fn by_request() -> Setup {
    with_sum(&maps(3, "request.numbers"))
}

pub(crate) async fn start_nested(target: Arc<Target>) -> Result<()> {
    start(&target, "{}").await
}

pub(crate) async fn start_by_request(target: Arc<Target>) -> Result<()> {
    let numbers = "0,".repeat(1_499);
    start(&target, &format!("{{\"numbers\": [{numbers}0]}}")).await
}

/// Starts a few sagas, and waits to see what becomes of them.
async fn start(target: &Arc<Target>, input: &str) -> Result<()> {
    target.start_measuring();
    let mut ids = Vec::new();
    for number in 0..target.count(10, 2) {
        match sagas::start(target, &format!("maps-{number}"), input).await {
            Ok(id) => ids.push(id),
            Err(status) => target.note(format!("a start is refused: {:?}", status.code())),
        }
    }
    let wanted = [SagaState::Compensated, SagaState::Attention];
    participants::follow(target, &ids, &wanted).await;
    Ok(())
}
