//! The developers' commands: `cargo xtask --help`.

mod check;
mod python;
mod readme;
mod run;
mod tools;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The developers' commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, clippy, rustdoc, dependency policy, unused dependencies.
    Check,
    /// All of `check`, all tests, and the commands of the README, in this order.
    Test,
    /// Runs the commands of the README against a release build.
    Readme,
    /// Installs the tools that `check` uses where they are there: cargo-deny, cargo-machete, grpcurl.
    Tools,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Check => check::all(),
        Command::Test => test(),
        Command::Readme => readme::run(),
        Command::Tools => tools::install(),
    }
}

fn test() -> Result<()> {
    check::all()?;
    python::prepare()?;
    run::step("tests", "cargo", &["test", "--workspace", "--quiet"])?;
    readme::run()?;
    run::say("all is well");
    Ok(())
}
