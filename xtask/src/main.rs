//! The developers' commands: `cargo xtask --help`.

mod check;
mod mutants;
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
    /// Plants one bug after the other and tells which layer of the tests finds it.
    Mutants {
        /// The bugs to plant; all of them when none is named.
        bugs: Vec<String>,
    },
    /// Installs the tools that `check` uses where they are there: cargo-deny, cargo-machete, grpcurl.
    Tools,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Check => check::all(),
        Command::Test => test(),
        Command::Readme => readme::run(),
        Command::Mutants { bugs } => mutants::run(&bugs),
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
