//! More log lines than anybody reads.

use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt;
use proto::saga::v1::GetSagaRequest;

use crate::target::{Tally, Target};

/// Calls that are refused, each with a line of its own.
pub(crate) async fn run(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let answered = Tally::default();
    let calls = target.count(50_000, 5_000);
    let _note = target.note_at_end(|| format!("{} of {calls} calls were refused", answered.sum()));
    let refused = futures::stream::iter(0..calls).for_each_concurrent(16, async |number| {
        let mut sagas = target.clients.sagas.clone();
        let saga_id = format!("no-saga-{number}-{}", "x".repeat(100));
        if sagas.get_saga(GetSagaRequest { saga_id, include_payloads: false }).await.is_err() {
            answered.add(1);
        }
    });
    refused.await;
    Ok(())
}
