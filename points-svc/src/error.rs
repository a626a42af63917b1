//! Why the points service says no or fails, and what each cause becomes on the wire.

use facade::ServiceError;
use proto::facade::v1::Reason;

use crate::points::POINTS_MAX;

/// A cause. Those that [`Error::reason`] names are the business saying no; the others are failures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no member has the id {user_id}")]
    UserUnknown { user_id: String },
    #[error("{asked} points asked for, {balance} there")]
    InsufficientPoints { asked: i64, balance: i64 },
    #[error("{asked} more points would be over the limit of {POINTS_MAX} points")]
    OverLimit { asked: i64 },
    #[error("the account of {user_id} holds as many points as can be counted")]
    Full { user_id: String },
    #[error("the order {order_no} has spent points already, by another call")]
    SpentAlready { order_no: String },
    #[error("the points of the order {order_no} were given back already")]
    RefundedAlready { order_no: String },
    #[error("the order {order_no} has spent no points")]
    NothingSpent { order_no: String },
    #[error("the points database failed")]
    Database(#[from] ::store::Error),
    #[error("the ledger's entry {seq} makes no sense")]
    Unreadable { seq: i64 },
}

impl ServiceError for Error {
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::UserUnknown { .. } => Some(Reason::UserUnknown),
            Self::InsufficientPoints { .. } => Some(Reason::InsufficientPoints),
            Self::OverLimit { .. } => Some(Reason::AmountOutOfRange),
            Self::SpentAlready { .. } | Self::RefundedAlready { .. } => Some(Reason::OrderState),
            Self::NothingSpent { .. } => Some(Reason::OrderUnknown),
            Self::Full { .. } | Self::Database(_) | Self::Unreadable { .. } => None,
        }
    }

    fn is_permanent(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Unreadable { .. })
    }
}

impl From<Error> for participant::WorkError {
    fn from(error: Error) -> Self {
        error.in_work()
    }
}
