//! What may happen to a saga, as its journal records it.

use bytes::Bytes;

use crate::{
    answer::{Answer, Reason},
    definition::StepId,
    retry::Jitter,
    timestamp::Timestamp,
};

/// An event at its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Dense from 0.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Why a saga turned back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The step that could not be done; `None` for the saga as a whole.
    pub step: Option<StepId>,
    /// Why.
    pub reason: Reason,
}

/// How a saga ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every step is done or skipped.
    Succeeded,
    /// Every step that had started is undone.
    Compensated,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The saga was started.
    Started { deadline: Timestamp },
    /// The step's condition was false.
    Skipped { step: StepId },
    /// The step's call is made from now on, always with this request and key.
    CallIntended { step: StepId, request: Bytes },
    /// An attempt of the call came to something.
    CallAnswered { step: StepId, answer: Answer, jitter: Jitter },
    /// From here on the saga undoes.
    TurnedBack { cause: Cause },
    /// The step's undo is made from now on, always with this request and key.
    UndoIntended { step: StepId, request: Bytes },
    /// An attempt of the undo came to something.
    UndoAnswered { step: StepId, answer: Answer, jitter: Jitter },
    /// Before the step's undo, a reading call asks what its call came to, always with this request.
    LookupIntended { step: StepId, request: Bytes },
    /// An attempt of the lookup came to something: to a response that the undo is made by, or to nothing to undo.
    LookupAnswered { step: StepId, answer: Answer, jitter: Jitter },
    /// The saga needs a person.
    Parked { step: Option<StepId>, reason: Reason },
    /// A node took the saga up again: calls that were under way may have landed.
    Recovered { node: String },
    /// An operator holds the saga.
    Paused { reason: String },
    /// An operator lets a held saga go on.
    Resumed { reason: String },
    /// An operator makes what waits due now, with a fresh budget, and ends ATTENTION.
    Retried { reason: String },
    /// An operator turns the saga back.
    Cancelled { reason: String },
    /// An operator has handled the step, or while compensating its undo, by hand.
    SkippedByHand { step: StepId, reason: String },
    /// An operator has settled the rest by hand.
    Resolved { reason: String },
    /// The saga has ended.
    Finished { outcome: Outcome, reply: Bytes },
}
