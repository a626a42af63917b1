//! Retention: sagas that ended long ago are removed, so that the journal's file stops growing.
//!
//! Only what has ended is ever removed. Its idempotency key stays for longer, with how the saga ended: whoever repeats the
//! start is told so, and no second saga begins.

use clock::Timestamp;
use store::retention::{Batch, Expiring};

use crate::journal;

pub(crate) use store::retention::run;
pub use store::retention::{Keep, KeepAnswers};

/// Sagas in one transaction, which the sagas that run wait for.
const BATCH_SIZE: u32 = 20;

/// The sagas of a journal that have ended, and how long their keys are kept.
pub(crate) struct EndedSagas(pub(crate) journal::Shared, pub(crate) Keep);

impl Expiring for EndedSagas {
    type Error = journal::Error;

    const WHAT: &'static str = "sagas that have ended";
    const LABEL: &'static str = "sagas";

    async fn remove(&mut self, before: Timestamp) -> Result<Batch, journal::Error> {
        let removed = self.0.remove_ended(before, self.1, BATCH_SIZE).await?;
        Ok(Batch { removed, more: removed == u64::from(BATCH_SIZE) })
    }
}

/// The keys of a journal's sagas that have been removed.
pub(crate) struct RemovedSagaKeys(pub(crate) journal::Shared);

impl Expiring for RemovedSagaKeys {
    type Error = journal::Error;

    const WHAT: &'static str = "idempotency keys of removed sagas";
    const LABEL: &'static str = "keys";

    async fn remove(&mut self, now: Timestamp) -> Result<Batch, journal::Error> {
        let removed = self.0.remove_keys(now, BATCH_SIZE).await?;
        Ok(Batch { removed, more: removed == u64::from(BATCH_SIZE) })
    }
}
