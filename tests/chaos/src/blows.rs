//! The blows: what is done to the mesh, and when.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use clock::{Clock, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::process::{Place, Process, Signal};

/// How one life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    /// SIGTERM, and the process may finish what it does.
    Terminate,
    /// SIGTERM, and SIGKILL while it drains.
    KillWhileItDrains,
    /// SIGSTOP, SIGCONT, and SIGKILL a while later.
    FreezeThenKill,
    /// SIGSTOP, and SIGKILL before it wakes.
    KillFrozen,
}

/// Every kind comes up, however few the kills.
const ROUND: [Blow; 8] = [
    Blow::Kill,
    Blow::FreezeThenKill,
    Blow::Kill,
    Blow::Terminate,
    Blow::Kill,
    Blow::KillFrozen,
    Blow::Kill,
    Blow::KillWhileItDrains,
];

/// How often each was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    kills: u32,
    early: u32,
    terminated: u32,
    frozen: u32,
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, early, terminated, frozen } = self;
        write!(out, "  {kills} kills ({early} within 400 ms of the start), ")?;
        write!(out, "{terminated} SIGTERM, {frozen} SIGSTOP")
    }
}

/// What is left after the last blow.
pub(crate) struct Struck {
    /// The life after it, which nobody disturbs.
    pub(crate) process: Process,
    /// When each life began.
    pub(crate) lives: Vec<Timestamp>,
    pub(crate) blows: Count,
}

/// Ends life after life until so many were killed.
pub(crate) async fn strike(
    mut process: Process,
    place: &Place,
    kills: u32,
    seed: u64,
    clock: &Clock,
) -> Result<Struck> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut lives = vec![process.born];
    let mut blows = Count::default();
    for blow in ROUND.into_iter().cycle() {
        if blows.kills >= kills {
            break;
        }
        if lives.len().is_multiple_of(TOLD_EVERY) {
            eprintln!("  {} of {kills} kills", blows.kills);
        }
        let life = lifetime(&mut dice, blow);
        clock.sleep(life).await;
        if blow != Blow::Terminate && life < EARLY {
            blows.early += 1;
        }
        let number = lives.len();
        one(process, blow, &mut dice, clock, &mut blows)
            .await
            .with_context(|| format!("life {number}, {blow:?} after {life:?}"))?;
        process = Process::start(place, clock)?;
        lives.push(process.born);
    }
    Ok(Struck { process, lives, blows })
}

/// Lives between two words about how far it is.
const TOLD_EVERY: usize = 50;

const EARLY: Duration = Duration::from_millis(400);

/// Long enough to be in the middle of things; one in five so short that it dies while it starts or recovers. SIGTERM
/// is no blow to a process that does not listen for it yet.
fn lifetime(dice: &mut StdRng, blow: Blow) -> Duration {
    let short = dice.random_bool(0.2) && matches!(blow, Blow::Kill | Blow::KillFrozen);
    let millis = if short { dice.random_range(5..400) } else { dice.random_range(600..2_000) };
    Duration::from_millis(millis)
}

async fn one(
    mut process: Process,
    blow: Blow,
    dice: &mut StdRng,
    clock: &Clock,
    blows: &mut Count,
) -> Result<()> {
    let mut moment = |range| Duration::from_millis(dice.random_range(range));
    match blow {
        Blow::Kill => {}
        Blow::Terminate => {
            blows.terminated += 1;
            process.listens().await?;
            return process.end().await;
        }
        Blow::KillWhileItDrains => {
            blows.terminated += 1;
            blows.kills += 1;
            process.listens().await?;
            process.signal(Signal::Terminate)?;
            clock.sleep(moment(0..50)).await;
            return process.kill_if_there();
        }
        Blow::FreezeThenKill => {
            blows.frozen += 1;
            process.signal(Signal::Freeze)?;
            clock.sleep(moment(50..700)).await;
            process.signal(Signal::GoOn)?;
            clock.sleep(moment(0..700)).await;
        }
        Blow::KillFrozen => {
            blows.frozen += 1;
            process.signal(Signal::Freeze)?;
            clock.sleep(moment(50..300)).await;
        }
    }
    blows.kills += 1;
    process.kill()
}
