//! `sagamesh saga wait`, and what `saga start --wait` does with a saga that was started.

use proto::saga::v1::{WaitSagaRequest, WaitUntil};

use super::{Client, show};
use crate::{
    arguments::Global,
    connect::{request, success},
    error::{CommandError, CommandResult},
};

/// Waits for four fifths of the command's time limit, so that the answer still comes within it.
pub(super) async fn run(global: &Global, client: &mut Client, saga_id: String) -> CommandResult {
    let timeout = prost_types::Duration::try_from(global.timeout.mul_f64(0.8)).ok();
    let until = WaitUntil::Settled.into();
    let wait = WaitSagaRequest { saga_id, timeout, until };
    let answer = client.wait_saga(request(global, wait)).await;
    let waited = success("the saga cannot be waited for", global, answer)?;
    let saga = waited.saga.ok_or_else(|| CommandError::new(1, "the answer has no saga"))?;
    show::saga(global, &saga)?;
    show::ending(&saga)
}
