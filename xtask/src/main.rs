//! The developers' commands: `cargo xtask --help`.

mod check;
mod mutants;
mod mutate;
mod prometheus;
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
    /// All of `check`, all tests, a short chaos, the commands of the README, a short abuse, in this order.
    Test,
    /// Runs the commands of the README against a release build.
    Readme,
    /// Kills the real binary again and again under load, and holds what it says against what it said.
    #[command(disable_help_flag = true)]
    Chaos {
        /// What `chaos --help` shows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Tries to make the real binary stop: attacks on its memory, its time and its slots, with orders placed beside them.
    #[command(disable_help_flag = true)]
    Abuse {
        /// What `abuse --help` shows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measures sagas a second, latency, CPU, memory and disk.
    #[command(disable_help_flag = true)]
    Bench {
        /// What `bench --help` shows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Plays the whole fault matrix: every pair of faults, and every fault with every death. Takes an hour.
    Matrix,
    /// Plants one bug after the other and tells which layer of the tests finds it.
    Mutants {
        /// The bugs to plant; all of them when none is named.
        bugs: Vec<String>,
    },
    /// Changes the engine, the inbox and the driver in every place with cargo-mutants. Takes hours.
    Mutate {
        /// The packages to change: saga, participant, orchestrator; all of them when none is named.
        packages: Vec<String>,
    },
    /// Installs the tools that the other commands use: cargo-deny, cargo-machete, cargo-mutants, grpcurl.
    Tools,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Check => check::all(),
        Command::Test => test(),
        Command::Readme => readme::run(),
        Command::Chaos { arguments } => chaos(&arguments),
        Command::Abuse { arguments } => abuse(&arguments),
        Command::Bench { arguments } => bench(&arguments),
        Command::Matrix => matrix(),
        Command::Mutants { bugs } => mutants::run(&bugs),
        Command::Mutate { packages } => mutate::run(&packages),
        Command::Tools => tools::install(),
    }
}

fn chaos(arguments: &[String]) -> Result<()> {
    // Builds the whole workspace, as the tests do: chosen packages would build half of it anew, with other features.
    run::step("build", "cargo", &["build", "--quiet", "--workspace", "--bins"])?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let program = run::target()?.join("debug/chaos").display().to_string();
    run::step("chaos", &program, &arguments)
}

/// Against a release build, as what is shipped takes memory and time; the attacks themselves need none.
fn abuse(arguments: &[String]) -> Result<()> {
    run::step("build", "cargo", &["build", "--quiet", "--release", "-p", "sagamesh"])?;
    run::step("build", "cargo", &["build", "--quiet", "--workspace", "--bins"])?;
    let target = run::target()?;
    let (program, attacked) = (target.join("debug/abuse"), target.join("release/sagamesh"));
    let attacked = attacked.display().to_string();
    let fixed = ["--binary", &attacked];
    let arguments: Vec<&str> =
        fixed.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    run::step("abuse", &program.display().to_string(), &arguments)
}

fn matrix() -> Result<()> {
    let arguments = ["test", "--quiet", "-p", "tests", "--test", "matrix", "--", "--nocapture"];
    run::step_with("fault matrix", "cargo", &arguments, &[("SAGAMESH_MATRIX", "all")])
}

fn bench(arguments: &[String]) -> Result<()> {
    let fixed = ["run", "--quiet", "--profile", "dist", "-p", "bench", "--"];
    let arguments: Vec<&str> =
        fixed.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    run::step("bench", "cargo", &arguments)
}

fn test() -> Result<()> {
    check::all()?;
    let target = run::target()?;
    python::prepare(&target)?;
    prometheus::prepare(&target)?;
    // Shows what the tests print: how many cells were played, how many interleavings there were.
    let arguments = ["test", "--workspace", "--quiet", "--", "--show-output"];
    run::step("tests", "cargo", &arguments)?;
    chaos(&["--kills".to_owned(), "25".to_owned()])?;
    readme::run()?;
    abuse(&["--short".to_owned()])?;
    run::say("all is well");
    Ok(())
}
