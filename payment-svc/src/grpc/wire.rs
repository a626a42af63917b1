//! The messages of payment, from and to the domain.

use facade::{Failure, wire::instant};
use money::Money;
use proto::{facade::v1 as shared, payment::v1 as wire};

use crate::{
    payment::{Payment, State},
    store::Wallet,
};

/// # Errors
/// INVALID_ARGUMENT where the amount is missing or has no currency.
pub(super) fn amount(amount: Option<&shared::Money>) -> Result<Money, Failure> {
    let amount = amount.ok_or_else(|| Failure::invalid("amount", "must be set"))?;
    Money::try_from(amount).map_err(|error| Failure::invalid("amount.currency", error.to_string()))
}

pub(super) fn state(state: State) -> wire::PaymentState {
    match state {
        State::Processing => wire::PaymentState::Processing,
        State::Success => wire::PaymentState::Success,
        State::Failed => wire::PaymentState::Failed,
        State::Refunded => wire::PaymentState::Refunded,
    }
}

pub(super) fn charged(payment: Payment) -> wire::ChargeResponse {
    wire::ChargeResponse {
        result: None,
        payment_no: payment.payment_no,
        state: state(payment.state).into(),
        paid: Some(payment.amount.into()),
    }
}

pub(super) fn refunded(payment: Payment) -> wire::RefundResponse {
    wire::RefundResponse {
        result: None,
        payment_no: payment.payment_no,
        state: state(payment.state).into(),
        refunded: Some(payment.refunded.into()),
    }
}

impl From<Wallet> for wire::Wallet {
    fn from(wallet: Wallet) -> Self {
        Self { user_id: wallet.user_id, balance: Some(wallet.balance.into()) }
    }
}

impl From<Payment> for wire::Payment {
    fn from(payment: Payment) -> Self {
        Self {
            payment_no: payment.payment_no,
            order_no: payment.order_no,
            user_id: payment.user_id,
            state: state(payment.state).into(),
            amount: Some(payment.amount.into()),
            refunded: Some(payment.refunded.into()),
            failure: payment.failure.unwrap_or_default(),
            created_at: Some(instant(payment.created_at)),
        }
    }
}
