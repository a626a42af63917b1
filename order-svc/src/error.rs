//! Why the order service says no or fails, and what each cause becomes on the wire.
//!
//! What the pre-order checks say no to is a decline already, in the words of each check.

use facade::{Failure, ServiceError};
use proto::facade::v1::Reason;
use tonic::Code;

use crate::order::Refusal;

/// A cause. Those that [`Error::reason`] names are the business saying no; the others are failures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another user's order counts as unknown too: whose it is must not be told.
    #[error("no order has the number {order_no}, or it belongs to another user")]
    Unknown { order_no: String },
    /// Whether that order was completed, cancelled or undone makes no difference.
    #[error("the user placed the order {order_no} under this submit token before")]
    Exists { order_no: String },
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No answer yet, so none that could be stored: see [`aborted_if_still_placing`].
    #[error("the order {order_no} is still being placed: ask again when its placing has ended")]
    StillPlacing { order_no: String },
    #[error("the order {order_no} was moved by somebody else at the same moment")]
    Overtaken { order_no: String },
    #[error("the order database failed")]
    Database(#[from] ::store::Error),
    #[error("the {table} row of {key} makes no sense")]
    Unreadable { table: &'static str, key: String },
}

impl ServiceError for Error {
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::Unknown { .. } => Some(Reason::OrderUnknown),
            Self::Exists { .. } => Some(Reason::OrderExists),
            Self::Refused(Refusal::State { .. } | Refusal::Amount { .. }) => {
                Some(Reason::OrderState)
            }
            Self::StillPlacing { .. }
            | Self::Overtaken { .. }
            | Self::Database(_)
            | Self::Unreadable { .. } => None,
        }
    }

    fn is_permanent(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

impl From<Error> for participant::WorkError {
    fn from(error: Error) -> Self {
        error.in_work()
    }
}

/// ABORTED where the work found the order still being placed. To the inbox that is a failure like any other, since it
/// must store nothing: the same key has to be able to get another answer later.
pub(crate) fn aborted_if_still_placing(failure: Failure) -> Failure {
    match still_placing_message(&failure) {
        Some(sentence) => Failure::refused(Code::Aborted, Reason::OrderState, sentence),
        None => failure,
    }
}

fn still_placing_message(failure: &Failure) -> Option<String> {
    let Failure::Unavailable(cause) = failure else { return None };
    let Some(participant::Error::Work(cause)) = cause.downcast_ref() else { return None };
    let cause: &Error = cause.downcast_ref()?;
    matches!(cause, Error::StillPlacing { .. }).then(|| cause.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn work_failure(cause: Error) -> Failure {
        participant::Error::Work(Arc::new(cause)).into()
    }

    #[test]
    fn only_an_order_that_is_being_placed_is_asked_for_again_as_aborted() {
        let order_no = || "O-1".to_owned();
        let failure =
            aborted_if_still_placing(work_failure(Error::StillPlacing { order_no: order_no() }));
        let Failure::Refused { code, reason, message, .. } = failure else {
            panic!("not refused: {failure:?}")
        };
        assert_eq!((code, reason.as_str()), (Code::Aborted, "ORDER_STATE"));
        assert!(message.contains("O-1 is still being placed"), "{message}");

        let failure =
            aborted_if_still_placing(work_failure(Error::Overtaken { order_no: order_no() }));
        assert!(matches!(failure, Failure::Unavailable(_)));
        let failure = aborted_if_still_placing(Failure::new(Reason::OrderState, "no"));
        assert!(matches!(failure, Failure::Refused { code: Code::FailedPrecondition, .. }));
    }
}
