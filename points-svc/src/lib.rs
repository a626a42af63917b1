//! Members and their points.
//!
//! Always true, of every account: the balance is the sum of its ledger (earned − spent + refunded) and never negative. An
//! order spends points once and is given them back once. The ledger only grows.
//!
//! - [`points`]: the rules, pure
//! - `store`: every query
//! - `grpc`: proto to domain and back

pub mod points;

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

use crate::handlers::points_service;

#[expect(unreachable_pub, reason = "facade-build generates it")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

const SCHEMA: &[(&str, &str)] = &[
    ("points", include_str!("../migrations/0001_points.sql")),
    ("limits", include_str!("../migrations/0002_limits.sql")),
];

/// Opens or creates the database in `folder` and gives the service on it.
///
/// # Errors
/// A sentence with the cure.
pub async fn open(folder: PathBuf, facade: Facade) -> Result<Mount, String> {
    let database = process::open_database(&folder, "points.db", SCHEMA, facade.clock()).await?;
    Ok(points_service::mount(grpc::Service::new(database.clone(), &facade)).on(database))
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
    process::run_service("sagamesh-points", loaded, clock, on_loss, open).await
}
