//! What can go wrong with one call, and what the rule for answers makes of it.

use saga::Direction;
use tonic::Code;

/// A fault at the seam between the orchestrator and a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The participant says no in its response: `result.success` is false. For responses that have a `ResultInfo`.
    Decline,
    /// This status comes back, and the participant never sees the call.
    Status(Code),
    /// The participant pushes back with RESOURCE_EXHAUSTED and a `RetryInfo` of 50 ms.
    PushBack,
    /// The participant's library finds the request too large, with RESOURCE_EXHAUSTED, and the participant never sees it.
    TooLarge,
    /// The call takes effect and its answer comes too late.
    TimeOutAfter,
    /// The connection breaks after the call took effect.
    ResetAfter,
    /// The call is delivered twice; the second answer is the one that arrives.
    Twice,
    /// No attempt arrives, but the first is delivered after the step was undone.
    LateDelivery,
    /// The call takes effect, and its answer takes two seconds of the kit's time.
    Slow,
    /// The call takes effect, and its answer is no message.
    Garbage,
    /// The participant's response has `SCRIPTED_DECLINE` as its code, and its `result` says that all went well. For a step
    /// whose `declined_if` takes that for a decline.
    DeclinedIf,
    /// The participant refuses the stream, unprocessed. For a mesh whose participants are reached over the network.
    NotSent,
}

/// How often a fault is injected into the attempts of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Times {
    /// The first attempt only.
    Once,
    /// Every attempt.
    Always,
}

/// What the rule for answers makes of one attempt with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the answer is as good as any.
    None,
    /// Nobody knows: the call is made again.
    Again,
    /// The participant said no.
    Declined,
    /// A person must look.
    Attention,
}

impl Fault {
    /// Every fault of a mesh within one process, with every status of the rule for answers.
    #[must_use]
    pub fn every() -> Vec<Self> {
        let statuses = [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::Unknown,
            Code::Internal,
            Code::Cancelled,
            Code::Aborted,
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::NotFound,
            Code::AlreadyExists,
            Code::OutOfRange,
            Code::PermissionDenied,
            Code::Unimplemented,
            Code::Unauthenticated,
            Code::DataLoss,
        ];
        let others = [
            Self::Decline,
            Self::PushBack,
            Self::TooLarge,
            Self::TimeOutAfter,
            Self::ResetAfter,
            Self::Twice,
            Self::LateDelivery,
            Self::Slow,
            Self::Garbage,
        ];
        others.into_iter().chain(statuses.map(Self::Status)).collect()
    }

    /// What the rule for answers makes of it.
    #[must_use]
    pub fn effect(self) -> Effect {
        match self {
            Self::Twice | Self::Slow => Effect::None,
            Self::PushBack
            | Self::TimeOutAfter
            | Self::ResetAfter
            | Self::LateDelivery
            | Self::Garbage
            | Self::NotSent => Effect::Again,
            Self::Decline | Self::DeclinedIf | Self::TooLarge => Effect::Declined,
            Self::Status(code) => match code {
                Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::NotFound
                | Code::AlreadyExists
                | Code::OutOfRange
                | Code::PermissionDenied => Effect::Declined,
                Code::Unimplemented | Code::Unauthenticated | Code::DataLoss => Effect::Attention,
                _ => Effect::Again,
            },
        }
    }

    /// Whether the participant carries out an attempt into which the fault is injected.
    #[must_use]
    pub fn takes_effect(self) -> bool {
        matches!(
            self,
            Self::TimeOutAfter | Self::ResetAfter | Self::Twice | Self::Slow | Self::Garbage
        )
    }
}

/// A fault, and the call into which it is injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The step.
    pub step: String,
    /// Its call, or its undo.
    pub direction: Direction,
    /// What goes wrong.
    pub fault: Fault,
    /// How often.
    pub times: Times,
}

impl Planned {
    /// A fault of a step's call.
    #[must_use]
    pub fn call(step: &str, fault: Fault, times: Times) -> Self {
        Self { step: step.to_owned(), direction: Direction::Forward, fault, times }
    }

    /// A fault of a step's undo.
    #[must_use]
    pub fn undo(step: &str, fault: Fault, times: Times) -> Self {
        Self { step: step.to_owned(), direction: Direction::Undo, fault, times }
    }
}
