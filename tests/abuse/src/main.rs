//! Abuse: attacks on the availability of `sagamesh dev`, each against a fresh one as a real process on loopback. Somebody
//! else places an order every 100 ms meanwhile; what those orders see is the measure.
//!
//! An attack is a function that is given the mesh's ports and does its worst until it is dropped, bounded in count and
//! bytes ([`attack::ATTACKS`] has them all). It does not judge what it is answered, for to be refused is how an attack should
//! end; the bars are held by the [`trial`] around it.

mod attack;
mod attacks;
mod bomb;
mod orders;
mod participant;
mod report;
mod target;
mod trial;
mod wire;

use std::{path::PathBuf, pin::pin};

use anyhow::{Result, bail};
use clap::Parser;
use clock::Clock;
use tokio::signal::unix::{SignalKind, signal};

use attack::{ATTACKS, Attack};
use target::Size;

const EXAMPLES: &str = "\
Each attack goes against a fresh `sagamesh dev` that may have 1,024 files open. Orders come from 127.0.0.2, the attack from
127.0.0.1; every second order comes over a new connection, every tenth is cancelled.

Columns:
  peak MB        the most resident memory of the process
  cpu s          CPU time that it used while orders were placed
  stall ms       the longest time in which no order was served
  orders served  of those placed, one every 100 ms
  p50, p99 ms    from when an order was due to its answer; 20 s where none came
  stop s         from SIGTERM to the end, with the attack still going on

It fails when a bar is missed: 256 MB, p99 500 ms (1 s for a single heavy request, 5 s in the short form), 10 s to stop, no
order failed.

Examples:
  cargo xtask abuse
  cargo xtask abuse slow-readers ping-flood
  cargo xtask abuse --short
  cargo xtask abuse --list";

/// Tries to make the mesh stop, in every way of a list, and measures what others notice of it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask abuse", after_help = EXAMPLES)]
struct Arguments {
    /// The attacks; all of them when none is named
    #[arg(value_name = "ATTACK", value_parser = known)]
    attacks: Vec<&'static str>,
    /// The strongest attacks alone, with smaller counts, two seconds each
    #[arg(long)]
    short: bool,
    /// Say what attacks there are, and do nothing
    #[arg(long)]
    list: bool,
    /// The program that is attacked; the one beside this one when it is missing
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where the databases and logs are made; the log stays there when a bar is missed
    #[arg(long, value_name = "DIR", default_value = "target/abuse")]
    data: PathBuf,
}

fn known(name: &str) -> Result<&'static str, String> {
    let found = ATTACKS.iter().find(|attack| attack.name == name);
    found.map(|attack| attack.name).ok_or_else(|| "no such attack: see --list".to_owned())
}

impl Arguments {
    fn size(&self) -> Size {
        if self.short { Size::Short } else { Size::Full }
    }

    /// Those that are named; without names, all of the full or of the short form.
    fn chosen(&self) -> impl Iterator<Item = &'static Attack> {
        ATTACKS.iter().filter(|attack| match self.attacks.as_slice() {
            [] => attack.in_short || !self.short,
            named => named.contains(&attack.name),
        })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        for attack in arguments.chosen() {
            let short = if attack.in_short { "short" } else { "" };
            println!("{:<20} {short:<6} {}", attack.name, attack.what);
        }
        return Ok(());
    }
    let attacks: Vec<&Attack> = arguments.chosen().collect();
    let mut failed = Vec::new();
    let mut interrupted = pin!(interrupted()?);
    report::print_head();
    for (number, attack) in attacks.iter().enumerate() {
        eprintln!("[{}/{}] {}: {}", number + 1, attacks.len(), attack.name, attack.what);
        // What is dropped ends the mesh that it started.
        let held = tokio::select! {
            held = Box::pin(holds(attack, &arguments)) => held?,
            () = &mut interrupted => bail!("interrupted"),
        };
        if !held {
            failed.push(attack.name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} attacks got through; again: cargo xtask abuse {}{}",
        failed.len(),
        attacks.len(),
        if arguments.short { "--short " } else { "" },
        failed.join(" ")
    )
}

/// Carries one attack out and tells what came of it; gives whether the mesh held.
async fn holds(attack: &Attack, arguments: &Arguments) -> Result<bool> {
    let program = match &arguments.binary {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("sagamesh"),
    };
    std::fs::create_dir_all(&arguments.data)?;
    let folder = tempfile::Builder::new().prefix(attack.name).tempdir_in(&arguments.data)?;
    let clock = Clock::system();
    let missed = match trial::run(attack, arguments.size(), &program, folder.path(), &clock).await {
        Ok(outcome) => {
            report::print(attack, &outcome);
            report::missed(&attack.bars.of(arguments.size()), &outcome)
        }
        Err(error) => {
            println!("{}", attack.name);
            vec![format!("{error:#}")]
        }
    };
    if missed.is_empty() {
        return Ok(true);
    }
    missed.iter().for_each(|sentence| println!("    MISSED: {sentence}"));
    let kept = folder.keep();
    // Some attacks leave gigabytes in the databases.
    let _ = std::fs::remove_dir_all(kept.join("data"));
    println!("    its log: {}", kept.join("log").display());
    Ok(false)
}

/// Completes on Ctrl-C and on SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_two_attacks_have_one_name() {
        let names: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
    }

    #[test]
    fn an_attack_that_nobody_knows_is_refused_with_where_they_are_listed() {
        let error = Arguments::try_parse_from(["abuse", "nothing"]).unwrap_err().to_string();
        assert!(error.contains("--list"), "{error}");
    }
}
