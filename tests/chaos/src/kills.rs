//! How the process is interrupted, and when.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use clock::{Clock, Timestamp};
use live::{Installation, Process, Signal};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// How one run of the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interruption {
    Kill,
    /// SIGTERM, and the process may finish what it does.
    Terminate,
    /// SIGTERM, and SIGKILL while it drains.
    KillWhileDraining,
    /// SIGSTOP, SIGCONT, and SIGKILL a while later.
    FreezeThenKill,
    /// SIGSTOP, and SIGKILL before it wakes.
    KillFrozen,
}

/// Every kind comes up, however few the kills are.
const INTERRUPTIONS: [Interruption; 8] = [
    Interruption::Kill,
    Interruption::FreezeThenKill,
    Interruption::Kill,
    Interruption::Terminate,
    Interruption::Kill,
    Interruption::KillFrozen,
    Interruption::Kill,
    Interruption::KillWhileDraining,
];

/// How often each was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    kills: u32,
    early: u32,
    terminated: u32,
    frozen: u32,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, early, terminated, frozen } = self;
        write!(out, "  {kills} kills ({early} within 400 ms of the start), ")?;
        write!(out, "{terminated} SIGTERM, {frozen} SIGSTOP")
    }
}

/// What is left after the last interruption.
pub(crate) struct Interrupted {
    /// The run after it, which nobody disturbs.
    pub(crate) process: Process,
    /// When each run began.
    pub(crate) runs: Vec<Timestamp>,
    pub(crate) counts: Counts,
}

/// Ends run after run until so many were killed.
pub(crate) async fn interrupt_repeatedly(
    mut process: Process,
    installation: &Installation,
    kills: u32,
    seed: u64,
    clock: &Clock,
) -> Result<Interrupted> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut runs = vec![process.started_at];
    let mut counts = Counts::default();
    for interruption in INTERRUPTIONS.into_iter().cycle() {
        if counts.kills >= kills {
            break;
        }
        if runs.len().is_multiple_of(PROGRESS_EVERY) {
            eprintln!("  {} of {kills} kills", counts.kills);
        }
        let age = age_at_interruption(&mut rng, interruption);
        clock.sleep(age).await;
        if interruption != Interruption::Terminate && age < EARLY_AGE {
            counts.early += 1;
        }
        let number = runs.len();
        interrupt(process, interruption, &mut rng, clock, &mut counts)
            .await
            .with_context(|| format!("run {number}, {interruption:?} after {age:?}"))?;
        process = Process::start(installation, clock)?;
        runs.push(process.started_at);
    }
    Ok(Interrupted { process, runs, counts })
}

/// Runs between two lines of progress.
const PROGRESS_EVERY: usize = 50;

const EARLY_AGE: Duration = Duration::from_millis(400);

/// It is old enough to be in the middle of things; one in five is so young that it dies while it starts or recovers.
/// SIGTERM ends a process that does not listen for it yet as SIGKILL does.
fn age_at_interruption(rng: &mut StdRng, interruption: Interruption) -> Duration {
    let short = rng.random_bool(0.2)
        && matches!(interruption, Interruption::Kill | Interruption::KillFrozen);
    let millis = if short { rng.random_range(5..400) } else { rng.random_range(600..2_000) };
    Duration::from_millis(millis)
}

async fn interrupt(
    mut process: Process,
    interruption: Interruption,
    rng: &mut StdRng,
    clock: &Clock,
    counts: &mut Counts,
) -> Result<()> {
    let mut moment = |range| Duration::from_millis(rng.random_range(range));
    match interruption {
        Interruption::Kill => {}
        Interruption::Terminate => {
            counts.terminated += 1;
            process.wait_until_listening().await?;
            return process.terminate().await;
        }
        Interruption::KillWhileDraining => {
            counts.terminated += 1;
            counts.kills += 1;
            process.wait_until_listening().await?;
            process.signal(Signal::Terminate)?;
            clock.sleep(moment(0..50)).await;
            return process.kill_if_running();
        }
        Interruption::FreezeThenKill => {
            counts.frozen += 1;
            process.signal(Signal::Freeze)?;
            clock.sleep(moment(50..700)).await;
            process.signal(Signal::Continue)?;
            clock.sleep(moment(0..700)).await;
        }
        Interruption::KillFrozen => {
            counts.frozen += 1;
            process.signal(Signal::Freeze)?;
            clock.sleep(moment(50..300)).await;
        }
    }
    counts.kills += 1;
    process.kill()
}
