//! What is wrong with an answer that came and cannot be used. The call may have taken effect.

use std::{error::Error, fmt, sync::Arc};

use tonic::{Code, Status};

/// Why an answer cannot be used. It is the source of the status that the caller gets, as the callee cannot say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is larger than is taken. Asking again gets the same.
    TooLarge,
    /// It is compressed in a way that is not read. Asking again gets the same.
    Encoding,
    /// It is no answer of gRPC's.
    Garbled,
}

impl Defect {
    /// The defect of the answer that a call failed for; `None` where it failed for something else.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        status.source()?.downcast_ref().copied()
    }

    pub(super) fn status(self, why: String) -> Status {
        let code = match self {
            Self::TooLarge => Code::ResourceExhausted,
            Self::Encoding | Self::Garbled => Code::Internal,
        };
        let mut status = Status::new(code, why);
        status.set_source(Arc::new(self));
        status
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLarge => "the answer is too large",
            Self::Encoding => "the answer is in an unknown encoding",
            Self::Garbled => "the answer is garbled",
        })
    }
}

impl Error for Defect {}
