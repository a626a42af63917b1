//! Why the stock service says no or fails, and what each cause becomes on the wire.

use facade::ServiceError;
use proto::facade::v1::Reason;

use crate::stock::{Hold, UNITS_MAX};

/// A cause. Those that [`Error::reason`] names are the business saying no; the others are failures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no product has the SKU {sku}")]
    SkuUnknown { sku: String },
    #[error("{sku}: {asked} asked for, {available} available")]
    InsufficientStock { sku: String, asked: i64, available: i64 },
    #[error("{sku}: {asked} more units would be over the limit of {UNITS_MAX} units in all")]
    OverLimit { sku: String, asked: i64 },
    #[error("no stock is reserved for the order {order_no}")]
    NothingReserved { order_no: String },
    #[error(
        "the stock of the order {order_no} is {state}, and must be {wanted} for this",
        state = state.as_str(),
        wanted = wanted.as_str()
    )]
    Settled { order_no: String, state: Hold, wanted: Hold },
    #[error("stock was already reserved for the order {order_no}, by another call")]
    AlreadyReserved { order_no: String },
    #[error("the stock database failed")]
    Database(#[from] ::store::Error),
    #[error("the {table} row of {key} makes no sense")]
    Unreadable { table: &'static str, key: String },
}

impl ServiceError for Error {
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::SkuUnknown { .. } => Some(Reason::SkuUnknown),
            Self::InsufficientStock { .. } => Some(Reason::InsufficientStock),
            Self::OverLimit { .. } => Some(Reason::AmountOutOfRange),
            Self::NothingReserved { .. } | Self::Settled { .. } => Some(Reason::ReservationUnknown),
            Self::AlreadyReserved { .. } => Some(Reason::OrderState),
            Self::Database(_) | Self::Unreadable { .. } => None,
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
