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

/// By which rules about time a saga runs: those that it was started under, for its records were made by them and are read
/// by them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeRules {
    /// Of sagas whose start names none: a call is asked until the deadline itself, a push-back is waited for as told, and
    /// all the time counts in which no node ran the saga.
    #[default]
    V1,
    /// A call is asked until there is only the time left that undoing takes, push-backs in a row are waited for longer and
    /// longer, and time without a node does not count.
    V2,
}

impl TimeRules {
    /// Those that a saga is started under.
    pub const CURRENT: Self = Self::V2;
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The saga was started.
    Started { deadline: Timestamp, rules: TimeRules },
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
    /// A node took the saga up again that slept, with nothing under way, at an instant that its wait does not explain.
    Woken { node: String },
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
