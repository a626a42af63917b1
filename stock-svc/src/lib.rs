//! The catalogue, and where the units of each product are.
//!
//! Always true, of every SKU: available + frozen + sold is all that was ever added, and none of them is negative. A
//! reservation takes all lines of an order or none, and its units only move together. Every change of units has a flow
//! record in the same transaction.
//!
//! - [`stock`]: the rules, pure
//! - `store`: every query
//! - `grpc`: proto to domain and back

pub mod stock;

mod error;
mod grpc;
mod store;

use std::path::PathBuf;

use clock::Clock;
use facade::{
    Facade,
    config::{self, Loaded},
    process::{self, OnLoss},
    server::Mount,
};

use crate::handlers::stock_service;

#[expect(unreachable_pub, reason = "facade-build generates it")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

const SCHEMA: &[(&str, &str)] = &[("stock", include_str!("../migrations/0001_stock.sql"))];

/// Opens or creates the database in `folder` and gives the service on it.
///
/// # Errors
/// A sentence with the cure.
pub async fn open(folder: PathBuf, facade: Facade) -> Result<Mount, String> {
    let database = process::open_database(&folder, "stock.db", SCHEMA, facade.clock()).await?;
    Ok(stock_service::mount(grpc::Service::new(database.clone(), &facade)).on(database))
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
    process::run_service("sagamesh-stock", loaded, clock, on_loss, open).await
}
