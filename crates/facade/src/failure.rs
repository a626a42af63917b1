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

/// Why a call has no response to give.
#[derive(Debug)]
pub enum Failure {
    /// OK with `success: false`.
    Declined(Decline),
    /// INVALID_ARGUMENT with every violation.
    Invalid(Vec<Violation>),
    /// A status other than OK with its reason: the call was not carried out.
    Refused {
        /// The gRPC status.
        code: Code,
        /// The registered reason, sent as `ErrorInfo`.
        reason: Reason,
        /// A sentence for a person.
        message: String,
        /// More facts for `ErrorInfo`, such as the saga's id.
        facts: Vec<(String, String)>,
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
    /// A decline for a registered reason.
    pub fn declined(reason: Reason, message: impl Into<String>) -> Self {
        Self::Declined(Decline::new(reason, message))
    }

    /// A status other than OK, with its reason.
    pub fn refused(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused { code, reason, message: message.into(), facts: Vec::new() }
    }

    /// INVALID_ARGUMENT for one field.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { path: path.into(), message: message.into() }])
    }

    /// DEADLINE_EXCEEDED: the caller's time is up.
    pub(crate) fn too_late() -> Self {
        let sentence = "the caller's deadline passed before the answer was ready";
        Self::refused(Code::DeadlineExceeded, Reason::DeadlinePassed, sentence)
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

impl From<Decline> for Failure {
    fn from(decline: Decline) -> Self {
        Self::Declined(decline)
    }
}
