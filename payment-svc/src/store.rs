//! Every query of the payment service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed.

mod ledger;
mod payments;

pub(crate) use ledger::{
    Account, Transfer, Wallet, open_wallet, top_up, transfer, wallet, wallet_for,
};
pub(crate) use payments::{create, of_number, of_order, payment, payments, set_state};

#[cfg(test)]
mod tests;
