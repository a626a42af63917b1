//! Why the payment service says no or fails, and what each cause becomes on the wire.

use facade::ServiceError;
use money::{Currency, Money};
use proto::facade::v1::Reason;

use crate::payment::State;

/// A cause. Those that [`Error::reason`] names are the business saying no; the others are failures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The user has no wallet.
    #[error("the user {user_id} has no wallet")]
    WalletUnknown {
        /// The user.
        user_id: String,
    },
    /// The wallet is in another currency.
    #[error("the wallet of {user_id} is in {wallet}, not in {asked}")]
    CurrencyMismatch {
        /// The user.
        user_id: String,
        /// The wallet's currency.
        wallet: Currency,
        /// The amount's.
        asked: Currency,
    },
    /// The wallet holds too little.
    #[error("{asked} to pay, {balance} in the wallet")]
    InsufficientFunds {
        /// What was asked for.
        asked: Money,
        /// What is there.
        balance: Money,
    },
    /// The books have a limit.
    #[error("{asked} more would be over what an account can hold")]
    OverLimit {
        /// What was asked for.
        asked: Money,
    },
    /// The order has a payment.
    #[error("the order {order_no} has a payment already, {state}", state = state.as_str())]
    PaidAlready {
        /// The order.
        order_no: String,
        /// Where its payment stands.
        state: State,
    },
    /// The order's payment cannot be given back.
    #[error("the payment of the order {order_no} is {state} and cannot be given back", state = state.as_str())]
    NotRefundable {
        /// The order.
        order_no: String,
        /// Where its payment stands.
        state: State,
    },
    /// No such payment.
    #[error("there is no payment {0}")]
    PaymentUnknown(String),
    /// The database failed.
    #[error("the payment database failed")]
    Database(#[from] ::store::Error),
    /// A row that no version of this service writes.
    #[error("the {table} row of {key} makes no sense")]
    Unreadable {
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
    },
}

impl ServiceError for Error {
    fn reason(&self) -> Option<Reason> {
        match self {
            Self::WalletUnknown { .. } => Some(Reason::WalletUnknown),
            Self::CurrencyMismatch { .. } => Some(Reason::CurrencyMismatch),
            Self::InsufficientFunds { .. } => Some(Reason::InsufficientFunds),
            Self::OverLimit { .. } => Some(Reason::AmountOutOfRange),
            Self::PaidAlready { .. } | Self::NotRefundable { .. } => Some(Reason::OrderState),
            Self::PaymentUnknown(_) => Some(Reason::PaymentUnknown),
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
