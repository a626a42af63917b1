//! Chaos: the real binary under load, killed at random instants and started again on its files, and the books read
//! afterwards. Every answer that a client was given must still be the system's answer.

mod client;
mod process;
mod shop;
mod verdict;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use clock::{Clock, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use client::Client;
use process::{Process, Signal};

const EXAMPLES: &str = "\
Examples:
  cargo xtask chaos --kills 25
  cargo xtask chaos --kills 500 --seed 7";

/// Kills the mesh again and again under load, and holds what it says against what it said.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos", after_help = EXAMPLES)]
struct Arguments {
    /// How often the mesh is killed
    #[arg(long, default_value_t = 25)]
    kills: u32,
    /// What the clients do and when the mesh dies; a failing run tells its own
    #[arg(long)]
    seed: Option<u64>,
    /// Clients that place, repeat and cancel orders
    #[arg(long, default_value_t = 16)]
    clients: u64,
    /// The program that is killed
    #[arg(long, default_value = "target/debug/sagamesh")]
    binary: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("chaos: {} kills, seed {seed}", arguments.kills);
    run(&arguments, seed).await.with_context(|| format!("with --seed {seed}"))
}

async fn run(arguments: &Arguments, seed: u64) -> Result<()> {
    let clock = Clock::system();
    let folder = tempfile::tempdir()?;
    let mut process = Process::start(&arguments.binary, folder.path())?;
    shop::furnish(&process, arguments.clients).await?;

    let stop = CancellationToken::new();
    let place = Arc::new(tokio::sync::watch::Sender::new(process.address()));
    let clients: Vec<_> = (0..arguments.clients)
        .map(|number| {
            let client = Client::new(number, seed, place.subscribe(), clock.clone());
            tokio::spawn(client.run(stop.clone()))
        })
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    let mut starts: Vec<Timestamp> = Vec::new();
    for kill in 1..=arguments.kills {
        clock.sleep(Duration::from_millis(random.random_range(30..300))).await;
        if kill % 7 == 0 {
            process.signal(Signal::Stop)?;
            clock.sleep(Duration::from_millis(random.random_range(20..200))).await;
            process.signal(Signal::Continue)?;
        }
        match kill % 5 {
            0 => process.terminate()?,
            _ => process.kill()?,
        }
        starts.push(clock.now());
        process = Process::start(&arguments.binary, folder.path())?;
        place.send_replace(process.address());
        if kill % 25 == 0 {
            println!("{kill} of {} kills", arguments.kills);
        }
    }
    stop.cancel();
    let mut told = Vec::new();
    for client in clients {
        told.extend(client.await?);
    }
    verdict::settle(&process, &clock).await?;
    let asked = verdict::ask_again(&process, told).await?;
    let report = verdict::read(folder.path(), &starts).await?;
    process.kill()?;
    println!("{} answers, and all are still given: {asked}", asked.total());
    println!("{report}");
    Ok(())
}
