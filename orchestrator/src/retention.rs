//! Retention: sagas that ended long ago are removed, so that the journal's file stops growing.
//!
//! Only what has ended is ever removed. With a saga its idempotency key is forgotten: a request that is repeated after
//! that starts another.

use clock::Timestamp;
use participant::retention::{Aging, Batch};

use crate::journal;

pub use participant::retention::Keep;
pub(crate) use participant::retention::run;

/// Sagas in one transaction, which the sagas that run wait for.
const BATCH: u32 = 20;

/// The sagas of a journal that have ended.
pub(crate) struct Ended(pub(crate) journal::Shared);

impl Aging for Ended {
    type Error = journal::Error;

    const WHAT: &'static str = "sagas that have ended";

    async fn remove(&mut self, before: Timestamp) -> Result<Batch, journal::Error> {
        let removed = self.0.remove_ended(before, BATCH).await?;
        Ok(Batch { removed, more: removed == u64::from(BATCH) })
    }
}
