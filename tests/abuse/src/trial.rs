//! One attack against a fresh mesh: prepared, carried out with orders beside it, and ended by SIGTERM while it goes on.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clock::Clock;
use live::{Clients, Installation, Process, measure};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    attack::{Attack, Setup},
    orders::{OrderStats, Orders, SKU, USER},
    participant::{CONTRACT, Participant, SAGA, SERVICE},
    target::{Size, Target},
};

/// As on many machines where nobody has raised it.
const MAX_FILES: u32 = 1_024;
/// The machine's own memory is not at stake: a mesh that takes more is killed.
const MEMORY_CEILING_MB: f64 = 4_000.0;
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
const PREPARE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long orders are placed beside an attack in the short form.
const SHORT_DURATION: Duration = Duration::from_secs(2);
/// After SIGTERM, before SIGKILL: more than the bar, so that it shows by how much it was missed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What came of an attack.
pub(crate) struct Outcome {
    pub(crate) peak_mb: f64,
    pub(crate) cpu: Duration,
    pub(crate) orders: OrderStats,
    /// How long it took to end, or why it did not.
    pub(crate) stopped: Result<Duration>,
    pub(crate) notes: Vec<String>,
    pub(crate) violations: Vec<String>,
}

/// A mesh that is there to be attacked.
struct Mesh {
    process: Process,
    target: Arc<Target>,
    _participant: Option<Participant>,
}

/// Carries an attack out in this folder.
pub(crate) async fn run(
    attack: &Attack,
    size: Size,
    program: &Path,
    folder: &Path,
    clock: &Clock,
) -> Result<Outcome> {
    let Mesh { mut process, target, _participant } =
        start((attack.setup)(), size, program, folder, clock).await?;
    let attacking = tokio::spawn((attack.run)(Arc::clone(&target)));
    let mut attacking = AbortOnDropHandle::new(attacking);
    let (peak_mb, cpu, orders) =
        measure_beside(attack, &target, &mut process, &mut attacking).await?;
    // From here on it is no fault that something is not answered.
    let mut violations = target.violations();
    let over = attacking.is_finished();
    let timer = clock.timer();
    let stopped = process.terminate_within(STOP_TIMEOUT).await.map(|()| timer.elapsed());
    attacking.abort();
    // It tells at its end what it has done.
    let ended = attacking.await;
    if over && let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
        violations.push(format!("the attack could not be carried out: {error:#}"));
    }
    violations.extend(panics(&target.log));
    Ok(Outcome { peak_mb, cpu, orders, stopped, notes: target.notes(), violations })
}

/// Starts it and puts a shop into it.
async fn start(
    setup: Setup,
    size: Size,
    program: &Path,
    folder: &Path,
    clock: &Clock,
) -> Result<Mesh> {
    // As a role of its own logs; `dev` tells less.
    let mut arguments = vec!["--log".to_owned(), "info".to_owned()];
    let mut participant = None;
    if let (Size::Short, Some(max_running)) = (size, setup.max_running_in_short) {
        arguments.extend(["--max-running".to_owned(), max_running.to_string()]);
    }
    if let Some((definition, behaviour)) = setup.saga {
        let started = Participant::start(behaviour).await?;
        arguments.extend(define(folder, &definition, started.port)?);
        participant = Some(started);
    }
    let installation = Installation::choose(program.to_owned(), folder, clock.now().0)?
        .with_max_files(MAX_FILES)
        .with_arguments(arguments);
    let mut process = match setup.unread_log {
        true => Process::start_logging_to(&installation, clock, Stdio::piped())?,
        false => Process::start(&installation, clock)?,
    };
    let clients = Clients::at(installation.port_base())?;
    process.wait_until_ready(&clients).await.with_context(|| last_lines(&installation.log()))?;
    clients.add_goods(SKU, 1, 1_000_000_000).await?;
    clients.add_member(USER, 1, 1_000_000_000).await?;
    let target = Arc::new(Target::new(clients, size, program, &installation, clock));
    Ok(Mesh { process, target, _participant: participant })
}

/// Writes the saga and its contract; gives the arguments by which the mesh finds them and the participant.
fn define(folder: &Path, definition: &str, port: u16) -> Result<Vec<String>> {
    let sagas = folder.join("sagas");
    std::fs::create_dir_all(&sagas)?;
    std::fs::write(sagas.join(format!("{SAGA}.yaml")), definition)?;
    std::fs::write(sagas.join("abuse.proto"), CONTRACT)?;
    let sagas = sagas.display().to_string();
    let participant = format!("{SERVICE}=127.0.0.1:{port}");
    Ok(vec!["--sagas".to_owned(), sagas, "--participant".to_owned(), participant])
}

/// Places orders beside the attack from when it has begun; gives the memory, the CPU time and the orders.
async fn measure_beside(
    attack: &Attack,
    target: &Target,
    process: &mut Process,
    attacking: &mut AbortOnDropHandle<Result<()>>,
) -> Result<(f64, Duration, OrderStats)> {
    let mut memory = Memory { pid: process.id(), peak_mb: 0.0 };
    let prepared = target.clock.timeout(PREPARE_TIMEOUT, async {
        tokio::select! {
            biased;
            () = target.measuring_started() => Ok(()),
            ended = &mut *attacking => Err(ended.map_err(anyhow::Error::from).flatten()),
        }
    });
    match memory.watch(&target.clock, process, prepared).await? {
        Ok(Ok(())) => {}
        Ok(Err(Ok(()))) => bail!("the attack ended before it began"),
        Ok(Err(Err(error))) => return Err(error.context("the attack could not be prepared")),
        Err(clock::Elapsed) => bail!("the attack was not prepared within {PREPARE_TIMEOUT:?}"),
    }
    let cpu = measure::cpu(process.id())?;
    let orders = Orders::start(target.port_base, &target.clock)?;
    let time = match target.size {
        Size::Full => Duration::from_secs(attack.seconds),
        Size::Short => SHORT_DURATION,
    };
    memory.watch(&target.clock, process, target.clock.sleep(time)).await?;
    let orders = memory.watch(&target.clock, process, orders.stop()).await??;
    let cpu = measure::cpu(process.id())?.since(cpu);
    Ok((memory.peak_mb, cpu, orders))
}

/// The memory of a process, looked at again and again.
struct Memory {
    pid: u32,
    peak_mb: f64,
}

impl Memory {
    /// Does `work` with an eye on the process.
    async fn watch<T>(
        &mut self,
        clock: &Clock,
        process: &mut Process,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            process.check_running()?;
            self.peak_mb = self.peak_mb.max(measure::peak_rss_mb(self.pid)?);
            if self.peak_mb > MEMORY_CEILING_MB {
                return Err(anyhow!("it took {:.0} MB and was killed", self.peak_mb));
            }
            tokio::select! {
                done = &mut work => return Ok(done),
                () = clock.sleep(SAMPLE_EVERY) => {}
            }
        }
    }
}

/// A panic is a fault also where it is caught.
fn panics(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().find(|line| line.contains("panicked"))?;
    Some(format!("the log has a panic: {}", line.chars().take(200).collect::<String>()))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    format!("its log ends: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
}
