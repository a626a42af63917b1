//! The orchestrator alone in a process: `orchestrator --config FILE`.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Runs the orchestrator.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The config file: listen, data, participants, sagas, log.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = facade::process::read_config(&Arguments::parse().config);
    let ran = match config {
        Ok(config) => orchestrator::run(config, clock::Clock::system()).await,
        Err(error) => Err(error),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orchestrator: {error}");
            ExitCode::FAILURE
        }
    }
}
