//! What a charge and a refund are: the payment's record, and the gateway's movement of money, in one transaction.

use clock::Timestamp;
use facade::ServiceError;
use participant::WorkError;

use crate::{
    error::Error,
    gateway::{Connection, Gateway},
    payment::{Payment, State},
    store,
};

/// Charges a new payment. One that the gateway declines is kept on record, FAILED.
pub(crate) fn charge<G: Gateway>(
    gateway: &G,
    connection: &Connection,
    payment: Payment,
    at: Timestamp,
) -> Result<Payment, WorkError> {
    if let Some(Payment { order_no, state, .. }) = store::of_order(connection, &payment.order_no)? {
        return Err(Error::PaidAlready { order_no, state }.into());
    }
    store::create(connection, &payment)?;
    let Err(error) = gateway.charge(connection, &payment, at) else {
        return Ok(store::set_state(connection, payment, State::Success, None)?);
    };
    let Some(decline) = error.decline() else { return Err(error.into()) };
    store::set_state(connection, payment, State::Failed, Some(decline.code.clone()))?;
    Err(WorkError::DeclinedKeeping(participant::Decline::new(decline.code, decline.message)))
}

/// Gives an order's payment back, whole.
pub(crate) fn refund<G: Gateway>(
    gateway: &G,
    connection: &Connection,
    order_no: &str,
    at: Timestamp,
) -> Result<Payment, WorkError> {
    match store::of_order(connection, order_no)? {
        Some(payment) => give_back(gateway, connection, payment, at),
        None => Err(Error::PaymentUnknown(format!("of the order {order_no}")).into()),
    }
}

/// Undoes a charge: gives back the payment that it made, whatever else the order was charged by.
pub(crate) fn undo<G: Gateway>(
    gateway: &G,
    connection: &Connection,
    payment_no: &str,
    at: Timestamp,
) -> Result<Payment, WorkError> {
    let payment = store::of_number(connection, payment_no)?;
    give_back(gateway, connection, payment, at)
}

fn give_back<G: Gateway>(
    gateway: &G,
    connection: &Connection,
    payment: Payment,
    at: Timestamp,
) -> Result<Payment, WorkError> {
    if !payment.state.may_become(State::Refunded) {
        let Payment { order_no, state, .. } = payment;
        return Err(Error::NotRefundable { order_no, state }.into());
    }
    gateway.refund(connection, &payment, at)?;
    Ok(store::set_state(connection, payment, State::Refunded, None)?)
}
