//! What the engine wants done.

use bytes::Bytes;

use crate::{
    definition::{Direction, StepId},
    event::{Event, Outcome},
    timestamp::Timestamp,
};

/// One thing to do, or to go on doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Evaluate the step's condition and request, then record `Skipped`, `CallIntended` or `UndoIntended`.
    Prepare { step: StepId, direction: Direction },
    /// A decision of the engine itself: record it.
    Record(Event),
    /// Make this attempt, or go on making it, once the journal is on disk up to and including `durable`. It `follows` the record
    /// that made way for it, which no other attempt of the step in this direction does: an intent, the answer to the attempt
    /// before, or `Recovered`.
    Call {
        step: StepId,
        direction: Direction,
        attempt: u32,
        request: Bytes,
        durable: u64,
        follows: u64,
    },
    /// Nothing is due before this instant. At most one, the earliest.
    WaitUntil(Timestamp),
    /// Evaluate the reply, then record `Finished`.
    Finish(Outcome),
}
