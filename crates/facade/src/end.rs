//! How a call ended, as everything says it that keeps count of calls. Its being known is the mark of who made the answer:
//! nothing that a handler or a caller can write into metadata counts as one, and nothing of it goes out.

use std::borrow::Cow;

use tonic::Code;

use crate::{
    Failure,
    echo::{self, cut_owned},
    status::StatusDetails,
    wire::causes,
};

/// How a call ended.
#[derive(Debug)]
pub(crate) struct End {
    foreign: bool,
    pub(crate) code: Code,
    /// `OK`, or a reason; empty where the answer is not ours.
    pub(crate) reason: Cow<'static, str>,
    pub(crate) message: String,
    /// What goes to the log only.
    pub(crate) cause: Option<String>,
}

impl End {
    fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        let (message, cause) = (String::new(), None);
        Self { foreign: false, code, reason: reason.into(), message, cause }
    }

    /// The call did what it was asked to.
    pub(crate) fn done() -> Self {
        Self::new(Code::Ok, "OK")
    }

    /// A service answered that is not ours: health, reflection, or one that stands beside.
    pub(crate) fn foreign(code: Code) -> Self {
        Self { foreign: true, ..Self::new(code, "") }
    }

    /// The call was carried out, and the business said no.
    pub(crate) fn declined(details: &StatusDetails) -> Self {
        Self { message: details.message.clone(), ..Self::new(Code::Ok, details.reason.clone()) }
    }

    pub(crate) fn failed(failure: &Failure, details: &StatusDetails) -> Self {
        let cause = match failure {
            Failure::Unavailable(cause) | Failure::Internal(cause) => {
                Some(cut_owned(causes(cause.as_ref()), echo::CAUSES))
            }
            Failure::Invalid(_) | Failure::Refused { .. } | Failure::Overloaded { .. } => None,
        };
        Self { code: details.code, cause, ..Self::declined(details) }
    }

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Whether the stored data, or the business, said no: neither the caller nor the service is at fault.
    pub(crate) fn is_decline(&self) -> bool {
        match self.code {
            Code::Ok => !self.foreign && self.reason != "OK",
            Code::NotFound | Code::FailedPrecondition | Code::AlreadyExists => !self.foreign,
            _ => false,
        }
    }

    /// Whether the call did what it was asked to.
    pub(crate) fn is_success(&self) -> bool {
        self.code == Code::Ok && self.reason == "OK"
    }
}
