//! The built-in gateway: wallets in this very database.

use clock::Timestamp;

use crate::{
    error::Error,
    gateway::{Connection, Gateway},
    payment::Payment,
    store::{self, Account, Transfer},
};

/// Moves money between a user's wallet and the shop's takings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wallets;

impl Gateway for Wallets {
    fn charge(
        &self,
        connection: &Connection,
        payment: &Payment,
        at: Timestamp,
    ) -> Result<(), Error> {
        let wallet = store::wallet_for(connection, &payment.user_id, payment.amount.currency)?;
        let transfer = Transfer {
            transaction_no: format!("charge/{}", payment.payment_no),
            from: wallet.account,
            to: Account::shop(payment.amount.currency),
            amount: payment.amount.minor_units,
            limit: Transfer::UNLIMITED,
        };
        store::transfer(connection, &transfer, at)
    }

    fn refund(
        &self,
        connection: &Connection,
        payment: &Payment,
        at: Timestamp,
    ) -> Result<(), Error> {
        let wallet = store::wallet_for(connection, &payment.user_id, payment.amount.currency)?;
        let transfer = Transfer {
            // This is the ledger's key, so that the refund of a payment exists once.
            transaction_no: format!("refund/{}", payment.payment_no),
            from: Account::shop(payment.amount.currency),
            to: wallet.account,
            amount: payment.amount.minor_units,
            limit: Transfer::UNLIMITED,
        };
        store::transfer(connection, &transfer, at)
    }
}
