//! The payment service in a process of its own.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use clock::Clock;
use facade::process::read_config;

/// Keeps wallets and payments.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A YAML file with `listen`, `data` and `log`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

// One thread: a second would cost more in hand-overs than it gives, and the database has one writer anyway.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("payment-svc: {sentence}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    payment_svc::run(read_config(&arguments.config)?, Clock::system()).await
}
