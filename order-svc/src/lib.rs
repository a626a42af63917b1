//! Orders, and the states that they go through.
//!
//! Always true: an order's prices and total come from the catalogue's quotes; its state changes only by a move that
//! [`order::State::after`] allows, and each change has a record in the same transaction; what is paid is exactly the
//! total less the points.
//!
//! - [`order`]: the states and moves, pure
//! - [`facts`]: what is known when an order is placed, and its bill
//! - [`checks`]: what the facts must be like
//! - `moves`: what each write does: find, judge, save
//! - `store`: every query
//! - `grpc`: proto to domain and back

pub mod checks;
pub mod facts;
pub mod order;

mod error;
mod grpc;
mod moves;
mod store;

use std::path::PathBuf;

use clock::Clock;
use facade::{
    Facade,
    config::{self, Loaded},
    process::{self, OnLoss},
    server::Mount,
};

use crate::handlers::order_service;

#[expect(unreachable_pub, reason = "facade-build generates it")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

const SCHEMA: &[(&str, &str)] = &[("order", include_str!("../migrations/0001_order.sql"))];

/// Opens or creates the database in `folder` and gives the service on it.
///
/// # Errors
/// A sentence with the cure.
pub async fn open(folder: PathBuf, facade: Facade) -> Result<Mount, String> {
    let database = process::open_database(&folder, "order.db", SCHEMA, facade.clock()).await?;
    Ok(order_service::mount(grpc::Service::new(database.clone(), &facade)).on(database))
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
    process::run_service("sagamesh-order", loaded, clock, on_loss, open).await
}
