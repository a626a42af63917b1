//! Wallets and payments.
//!
//! Always true: the movements of every transaction sum to zero, and so do all balances; no wallet is negative; an order is
//! paid once, and given back once, and never more than was charged.
//!
//! - [`payment`]: the states of a payment, pure
//! - [`gateway`]: who moves the money of a payment; the wallet is the built-in one
//! - `store`: every query
//! - `grpc`: proto to domain and back

pub mod gateway;
pub mod payment;

mod error;
mod grpc;
mod pay;
mod store;
mod wallet;

use std::path::PathBuf;

use clock::Clock;
use facade::{
    Facade,
    config::{self, Loaded},
    process::{self, OnLoss},
    server::Mount,
};

use crate::handlers::payment_service;

#[expect(unreachable_pub, reason = "facade-build generates it")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

const SCHEMA: &[(&str, &str)] = &[
    ("payment", include_str!("../migrations/0001_payment.sql")),
    ("limits", include_str!("../migrations/0002_limits.sql")),
];

/// Opens or creates the database in `folder` and gives the service on it, with the wallet as its gateway.
///
/// # Errors
/// A sentence with the cure.
pub async fn open(folder: PathBuf, facade: Facade) -> Result<Mount, String> {
    let database = process::open_database(&folder, "payment.db", SCHEMA, facade.clock()).await?;
    let service = grpc::Service::new(database.clone(), &facade, wallet::Wallets);
    Ok(payment_service::mount(service).on(database))
}

/// Serves until the process is told to stop.
///
/// # Errors
/// A sentence with the cure.
pub async fn run(
    loaded: Loaded<config::Service>,
    clock: Clock,
    on_loss: OnLoss,
) -> Result<(), String> {
    process::run_service("sagamesh-payment", loaded, clock, on_loss, open).await
}
