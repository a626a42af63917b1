//! Chaos: `sagamesh dev` as a real process, under load, killed at random instants and started again on the same files.
//! At the end nothing may be lost or done twice, and every answer that was given must still be true.
//!
//! A seed gives the same interruptions at the same ages of the process, and the same random numbers to each client. How the two meet is the
//! machine's, so a seed that fails is a good place to look, not a recording.

mod client;
mod journal;
mod kills;
mod record;
mod shop;
mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use clock::Clock;
use live::{Installation, Process};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use client::Client;
use record::RequestRecord;
use shop::Shop;

const EXAMPLES: &str = "\
Examples:
  cargo xtask chaos --kills 25
  cargo xtask chaos --kills 500 --seed 7";

/// Kills the mesh under load, starts it again, and checks that nothing was lost or done twice.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask chaos", after_help = EXAMPLES)]
struct Arguments {
    /// How often it is killed with SIGKILL; SIGTERM and SIGSTOP come on top
    #[arg(long, default_value_t = 25)]
    kills: u32,
    /// What random numbers come of; chosen by the time when it is missing
    #[arg(long)]
    seed: Option<u64>,
    /// How many clients place, repeat and cancel orders
    #[arg(long, default_value_t = 16)]
    clients: u64,
    /// The program that is killed; the one beside this one when it is missing
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the databases are made; they stay there when something is wrong
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    data: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clock = Clock::system();
    let seed = arguments.seed.unwrap_or(clock.now().0 % 1_000_000);
    println!("chaos: {} kills, seed {seed}", arguments.kills);
    std::fs::create_dir_all(&arguments.data)?;
    let folder = tempfile::Builder::new().prefix("mesh-").tempdir_in(&arguments.data)?;
    let outcome = Box::pin(play(&arguments, seed, folder.path(), &clock)).await;
    let wrong = match outcome {
        Ok(wrong) if wrong.is_empty() => return Ok(()),
        Ok(wrong) => wrong,
        Err(error) => vec![format!("{error:#}")],
    };
    report_wrong(&wrong, &arguments, seed, folder)
}

/// Tells what is wrong and how to play it again. Keeps the files.
fn report_wrong(wrong: &[String], arguments: &Arguments, seed: u64, folder: TempDir) -> Result<()> {
    const MAX_REPORTED: usize = 20;
    for sentence in wrong.iter().take(MAX_REPORTED) {
        println!("  WRONG: {sentence}");
    }
    if wrong.len() > MAX_REPORTED {
        println!("  … and {} more", wrong.len() - MAX_REPORTED);
    }
    println!("the databases and the log: {}", folder.keep().display());
    bail!(
        "chaos found {} wrong; again: cargo xtask chaos --kills {} --seed {seed}",
        wrong.len(),
        arguments.kills
    )
}

/// Plays it all; gives what is wrong.
async fn play(
    arguments: &Arguments,
    seed: u64,
    folder: &Path,
    clock: &Clock,
) -> Result<Vec<String>> {
    let program = match &arguments.binary {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("sagamesh"),
    };
    let installation = Installation::choose(program, folder, seed)?;
    let shop = Shop::at(installation.port_base(), clock.clone())?;
    let mut process = Process::start(&installation, clock)?;
    process.wait_until_ready(&shop.clients).await?;
    shop.fill().await.context("filling the shop")?;

    let stop = CancellationToken::new();
    let mut clients = JoinSet::new();
    for number in 0..arguments.clients {
        clients.spawn(Client::new(number, seed, shop.clone()).run(stop.clone()));
    }
    let interrupted =
        kills::interrupt_repeatedly(process, &installation, arguments.kills, seed, clock).await;
    stop.cancel();
    let clients = clients.join_all().await;
    let mut interrupted = interrupted?;

    interrupted.process.wait_until_ready(&shop.clients).await?;
    let mut wrong = shop.settle().await?;
    let mut records = collect_requests(clients, &mut wrong);
    wrong.extend(verdict::repeat_all(&shop, &mut records).await?);
    wrong.extend(verdict::compare(&shop, &records).await?);
    interrupted.process.terminate().await.context("the last stop")?;

    let books = kit::books::read(&installation.data()).await?;
    wrong.extend(books.wrong);
    if (books.unfinished, books.in_attention) != (0, 0) {
        wrong.push(format!(
            "{} sagas live and {} need a person",
            books.unfinished, books.in_attention
        ));
    }
    let figures = journal::read(&installation.data(), &interrupted.runs).await?;
    if figures.started != records.len() as u64 {
        wrong.push(format!("{} requests, and {} sagas", records.len(), figures.started));
    }
    println!("{}", interrupted.counts);
    println!("{}", record::summary(&records));
    println!("{figures}");
    wrong.extend(missing_coverage(&figures, &records));
    Ok(wrong)
}

/// Every client's requests in one list. What a client saw go wrong is wrong.
fn collect_requests(clients: Vec<Client>, wrong: &mut Vec<String>) -> Vec<RequestRecord> {
    let mut records = Vec::new();
    for client in clients {
        let (requests, seen) = client.into_parts();
        records.extend(requests);
        wrong.extend(seen);
    }
    records
}

/// What the run has not covered: a run without such cases has shown nothing.
fn missing_coverage(figures: &journal::JournalFigures, records: &[RequestRecord]) -> Vec<String> {
    let tallies = [
        ("saga was resumed", figures.resumed),
        ("saga was compensated", figures.compensated),
        ("order was answered", record::acknowledged(records)),
        ("answer was repeated", record::repeated(records)),
    ];
    let never = tallies.into_iter().filter(|(_, count)| *count == 0);
    never.map(|(what, _)| format!("the run shows nothing: no {what}")).collect()
}
