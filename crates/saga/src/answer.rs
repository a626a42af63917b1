//! What a call came to, as far as the engine needs to know. Which gRPC status and body mean which answer is decided
//! where the call is made; what follows from the answer is decided here, in `apply` and `decide`.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// Why something went the way it did: a registered code, and a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Upper snake case, like `INSUFFICIENT_STOCK`.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

impl Reason {
    /// The code of a turn back because the saga's deadline passed before its pivot.
    pub const DEADLINE_PASSED: &str = "DEADLINE_PASSED";
    /// The code of a turn back that an operator asked for.
    pub const CANCELLED_BY_OPERATOR: &str = "CANCELLED_BY_OPERATOR";
    /// The code of a turn back because a step gave no definite answer within its budget.
    pub const STEP_UNANSWERED: &str = "STEP_UNANSWERED";
    /// The code of a step that an operator took out of the saga's hands.
    pub const SKIPPED_BY_OPERATOR: &str = "SKIPPED_BY_OPERATOR";
    /// The code of a hold that an operator asked for.
    pub const PAUSED_BY_OPERATOR: &str = "PAUSED_BY_OPERATOR";
    /// The code of a saga that an operator closed.
    pub const RESOLVED_BY_OPERATOR: &str = "RESOLVED_BY_OPERATOR";
    /// The code of a call that was under way when the node that made it stopped.
    pub const INTERRUPTED: &str = "INTERRUPTED";

    /// Every code that the engine gives by itself.
    pub const CODES: [&str; 7] = [
        Self::DEADLINE_PASSED,
        Self::CANCELLED_BY_OPERATOR,
        Self::STEP_UNANSWERED,
        Self::SKIPPED_BY_OPERATOR,
        Self::PAUSED_BY_OPERATOR,
        Self::RESOLVED_BY_OPERATOR,
        Self::INTERRUPTED,
    ];

    /// A reason from its code and sentence.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

/// What one attempt of a call or an undo came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It happened. The response is kept for a call; nothing reads an undo's.
    Done {
        /// The encoded response message.
        response: Bytes,
    },
    /// The participant decided no, and asking again will not help. A call turns the saga back (behind the pivot it
    /// needs a person); an undo needs a person at once.
    Declined(Reason),
    /// The undo found nothing that it would have to take back. Only an undo is answered so.
    NothingToUndo,
    /// Nobody knows whether it happened: asked again with the same key, until the budget is spent.
    Unknown(Reason),
    /// The participant is overloaded: asked again after `wait`, which uses up no attempt. It still ages: a
    /// participant that pushes back for ever ends like one that never answers.
    PushedBack {
        /// What the participant said.
        reason: Reason,
        /// How long it asked to be left alone.
        wait: Duration,
    },
    /// The attempt has certainly not reached the participant: made again after a back-off, which uses up no attempt. A step
    /// of which nothing else is known has nothing to undo.
    NotSent(Reason),
    /// No retry and no turning back can help (not implemented, not authenticated, data loss): needs a person.
    Unusable(Reason),
}

impl Answer {
    /// Why it was not done; `None` when it was.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Done { .. } | Self::NothingToUndo => None,
            Self::Declined(reason)
            | Self::Unknown(reason)
            | Self::PushedBack { reason, .. }
            | Self::NotSent(reason)
            | Self::Unusable(reason) => Some(reason),
        }
    }
}
