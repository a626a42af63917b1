//! The orchestrator: drives sagas of any gRPC service from YAML definitions, and knows nothing of orders.
//!
//! From the outside in: [`node`] wires a process; [`api`] is what clients and operators call; [`driver`] runs sagas by
//! what the engine (the `saga` crate) decides, by definitions that the `definition` crate has checked; [`journal`] keeps
//! what happened, and [`retention`] removes what nobody needs any more; [`outbound`] makes the calls and reads their
//! answers.

pub mod api;
pub mod check;
pub mod config;
pub mod driver;
pub mod journal;
pub mod node;
pub mod outbound;
pub mod registry;
pub mod retention;

mod definitions;
mod describe;
mod drift;
mod metrics;

#[expect(unreachable_pub, reason = "facade-build generates it")]
mod handlers {
    include!(concat!(env!("OUT_DIR"), "/handlers.rs"));
}

pub use config::{Config, MAX_RUNNING};
pub use node::{Bundle, Node, run};
