//! What a handler answers instead of a response.

use std::{error::Error, time::Duration};

use proto::{facade::v1::Reason, rules::Violation};
use tonic::Code;

/// The business decided no: the call was carried out, and asking again will not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// A registered reason's code, or, passed on from a participant, its own.
    pub code: String,
    /// A sentence for a person.
    pub message: String,
}

impl Decline {
    /// A decline for a registered reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { code: reason.code().to_owned(), message: message.into() }
    }
}

/// Why a call has no response to give: always a status other than OK, and in an envelope where its caller wants one.
///
/// What a saga step or a served method declines is an answer, and no failure: see [`Reply::declined`](crate::Reply).
#[derive(Debug)]
pub enum Failure {
    /// INVALID_ARGUMENT with every violation.
    Invalid(Vec<Violation>),
    /// A status with its reason: the call was not carried out.
    Refused {
        /// The gRPC status.
        code: Code,
        /// The code of a registered reason, sent as `ErrorInfo`.
        reason: String,
        /// A sentence for a person.
        message: String,
        /// More facts for `ErrorInfo`, such as the saga's id.
        facts: Vec<(String, String)>,
        /// The trace of the delivery that was refused first, where it was an earlier one.
        trace_id: Option<String>,
    },
    /// RESOURCE_EXHAUSTED with `RetryInfo`: there is too much to do at the moment, and nothing was begun.
    Overloaded {
        /// A sentence for a person.
        message: String,
        /// How long the caller should leave us alone.
        retry_after: Duration,
    },
    /// UNAVAILABLE: it may work when asked again. The cause goes to the log, never to the caller.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// INTERNAL. The cause goes to the log, never to the caller.
    Internal(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// The status that the registry has for the reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::refused(reason.status(), reason, message)
    }

    /// Another status than the registry has for the reason.
    pub fn refused(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        let (reason, message) = (reason.code().to_owned(), message.into());
        Self::Refused { code, reason, message, facts: Vec::new(), trace_id: None }
    }

    /// Adds a fact for `ErrorInfo`, where there is a reason that it belongs to.
    #[must_use]
    pub fn with_fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Self::Refused { facts, .. } = &mut self {
            facts.push((name.into(), value.into()));
        }
        self
    }

    /// The refusal that an earlier delivery got, whose trace it carries.
    #[must_use]
    pub(crate) fn first_given_in(mut self, first: String) -> Self {
        if let Self::Refused { trace_id, .. } = &mut self {
            *trace_id = Some(first);
        }
        self
    }

    /// INVALID_ARGUMENT for one field.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { path: path.into(), message: message.into() }])
    }

    /// The trace of the delivery that was refused first, where it was an earlier one.
    pub(crate) fn take_trace_id(&mut self) -> Option<String> {
        match self {
            Self::Refused { trace_id, .. } => trace_id.take(),
            Self::Invalid(_)
            | Self::Overloaded { .. }
            | Self::Unavailable(_)
            | Self::Internal(_) => None,
        }
    }

    /// DEADLINE_EXCEEDED: the caller's time is up.
    pub(crate) fn deadline_exceeded() -> Self {
        let sentence = "the caller's deadline passed before the answer was ready";
        Self::new(Reason::DeadlinePassed, sentence)
    }

    /// What goes wrong inside, whatever it is.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// What may work when asked again.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// What a saga step would decline, of any other call.
impl From<Decline> for Failure {
    fn from(Decline { code: reason, message }: Decline) -> Self {
        // A reason that is not registered here was stored by a newer program.
        let code = Reason::from_code(&reason).map_or(Code::FailedPrecondition, Reason::status);
        Self::Refused { code, reason, message, facts: Vec::new(), trace_id: None }
    }
}
