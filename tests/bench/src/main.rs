//! The bench: how many sagas a second, at what latency and at what cost.
//!
//! The system under test runs in a process of its own, the steps that do nothing in another, and this one makes the
//! load, so that each one's CPU time is its own. With `--transport in-process` all are in this one.

mod arguments;
mod check;
mod child;
mod lists;
mod load;
mod noop;
mod probe;
mod recover;
mod report;
mod run;
mod shop;
mod sold_out;
mod stored;
mod system;

/// The generated contract of the steps that do nothing.
mod contract {
    #![allow(
        unreachable_pub,
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        reason = "generated"
    )]
    tonic::include_proto!("bench.v1");
}

use anyhow::Result;
use clap::Parser;
use facade::log::Format;

use arguments::{Arguments, Command};

/// Only failures are logged: a line for each decline would bury the figures.
const LOG_FILTER: &str = "error";

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { command, run } = Arguments::parse();
    // The system starts a log of its own.
    let _flush = match command {
        Some(Command::System(_)) => None,
        _ => Some(facade::log::start(Format::Text, LOG_FILTER).map_err(anyhow::Error::msg)?),
    };
    match command {
        None if run.lists => lists::run(&run).await,
        None if run.recover.is_some() => recover::run(&run).await,
        None => run::all(&run).await,
        Some(Command::Participant { hold }) => noop::serve(hold).await,
        Some(Command::System(system)) => system::serve(system).await,
    }
}
