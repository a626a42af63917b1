//! The one writer of a database: many callers, one connection, one commit for all who wait.
//!
//! Whatever arrives while a commit is running goes into the next one; there is no timer. A task collects the work and
//! answers the callers; a thread of its own runs it, statement after statement, up to the commit.
//! So a transaction costs one hand-over between threads, however many statements it has.
//!
//! Nobody is answered before the commit that holds their work, and all of a transaction are answered by it
//! alike. A failed transaction costs the connection too: what state it was left in is nobody's guess, and a
//! fresh one reads the truth from the disk.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use clock::Clock;
use futures::FutureExt;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, spawn_blocking, yield_now},
};

use crate::{
    Connection, Error,
    job::{Job, Verdict},
    measures::{Measured, Op},
    sqlite::{log::Log, session, stamps::Stamper},
};

/// Jobs in one transaction. While they are committed, the callers of the transaction before them go on: larger ones would
/// have all wait for the disk at once, and then the disk for all.
const MAX_JOBS: usize = 64;

/// Callers that are answered at once while the thread has nothing to do. What they do next goes out before the others are
/// answered: otherwise disk, process and participants would work in turns, each on the sagas of one transaction.
const MAX_ANSWERS_AT_ONCE: usize = 16;

type Jobs = Vec<Box<dyn Job>>;

/// What a transaction came to: whether there was something to commit, or why it failed.
type Transaction = Result<Committed, Error>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    Something,
    Nothing,
}

pub(super) struct Writer {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    batches: mpsc::Sender<Jobs>,
    transactions: mpsc::Receiver<(Jobs, Transaction)>,
    thread: JoinHandle<()>,
    commits: Arc<AtomicU64>,
    /// Why the last transaction that had something to write was not committed.
    failing: watch::Sender<Option<Error>>,
}

impl Writer {
    pub(super) fn new(
        thread: Thread,
        jobs: mpsc::Receiver<Box<dyn Job>>,
        commits: Arc<AtomicU64>,
        failing: watch::Sender<Option<Error>>,
    ) -> Self {
        let (batches, waiting) = mpsc::channel(1);
        let (ended, transactions) = mpsc::channel(1);
        let thread = spawn_blocking(move || thread.work(waiting, &ended));
        Self { jobs, batches, transactions, thread, commits, failing }
    }

    /// Works until nobody can hand over more and everything is done. Should the thread come to grief, the callers learn
    /// that nobody answers.
    pub(super) async fn run(&mut self) {
        let mut jobs = Vec::with_capacity(MAX_JOBS);
        while self.jobs.recv_many(&mut jobs, MAX_JOBS).await > 0 {
            let mut handed = self.hand_over(&mut jobs).await;
            while handed {
                let Some((done, transaction)) = self.transactions.recv().await else { return };
                // Jobs that came meanwhile are handed over first, so that the thread works while the callers are
                // answered.
                let waiting = self.jobs.recv_many(&mut jobs, MAX_JOBS).now_or_never();
                handed =
                    waiting.is_some_and(|waiting| waiting > 0) && self.hand_over(&mut jobs).await;
                let at_once = if handed { MAX_JOBS } else { MAX_ANSWERS_AT_ONCE };
                self.answer(done, transaction, at_once).await;
            }
        }
    }

    async fn hand_over(&self, jobs: &mut Jobs) -> bool {
        self.batches.send(std::mem::take(jobs)).await.is_ok()
    }

    /// Closes the connection, on its thread. Where it is the last one, that moves what is in the log into the database,
    /// which takes its time.
    pub(super) async fn close(self) {
        drop(self.batches);
        let _ = self.thread.await;
    }

    async fn answer(&self, jobs: Jobs, transaction: Transaction, at_once: usize) {
        match &transaction {
            Ok(Committed::Something) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.failing.send_if_modified(|failing| failing.take().is_some());
            }
            // This transaction has not waited for the disk, so it does not show whether the disk works.
            Ok(Committed::Nothing) => {}
            Err(cause) => {
                tracing::error!(
                    error = cause as &dyn std::error::Error,
                    jobs = jobs.len(),
                    "a transaction failed; its connection is replaced"
                );
                self.failing.send_replace(Some(cause.clone()));
            }
        }
        for (answered, job) in jobs.into_iter().enumerate() {
            if answered > 0 && answered % at_once == 0 {
                yield_now().await;
            }
            job.acknowledge(transaction.clone().map(drop));
        }
    }
}

/// The thread that has the connection.
pub(super) struct Thread {
    path: PathBuf,
    connection: Option<Connection>,
    stamper: Stamper,
    log: Arc<Log>,
    clock: Clock,
    measured: Measured,
}

impl Thread {
    pub(super) fn of(
        path: PathBuf,
        stamper: Stamper,
        log: Arc<Log>,
        (clock, measured): (Clock, Measured),
    ) -> Self {
        Self { path, connection: None, stamper, log, clock, measured }
    }

    fn work(
        mut self,
        mut batches: mpsc::Receiver<Jobs>,
        ended: &mpsc::Sender<(Jobs, Transaction)>,
    ) {
        while let Some(mut jobs) = batches.blocking_recv() {
            let transaction = self.transact(&mut jobs);
            if ended.blocking_send((jobs, transaction)).is_err() {
                break;
            }
            if let Some(connection) = &self.connection {
                self.log.keep_short(connection);
            }
        }
        if self.stamper.is_behind() {
            self.stamper.set_due();
            // Whoever is left of the others has noted this one; that it has not noted the last of theirs loses nothing.
            let _ = self.transact(&mut Jobs::new());
        }
    }

    fn transact(&mut self, jobs: &mut Jobs) -> Transaction {
        let timer = self.clock.timer();
        let transaction = self.commit_together(jobs);
        self.measured.record(Op::Write, timer.elapsed(), &transaction);
        if transaction.is_err() {
            self.connection = None;
        }
        transaction
    }

    fn commit_together(&mut self, jobs: &mut Jobs) -> Transaction {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(&self.path)?),
        };
        begin(connection)?;
        let changed = match run_bare(connection, jobs) {
            Some(changed) => changed,
            None => {
                connection.execute("rollback", ())?;
                begin(connection)?;
                run_apart(connection, jobs)?
            }
        };
        let stamp = self.stamper.write(connection, changed)?;
        let timer = self.clock.timer();
        // Where nothing has changed it does not wait for the disk.
        let committed = connection.execute("commit", ()).map_err(Error::into_commit);
        let Some(stamp) = stamp else { return committed.map(|_| Committed::Nothing) };
        self.measured.record(Op::Commit, timer.elapsed(), &committed);
        committed?;
        self.measured.committed(jobs.len());
        self.stamper.confirm(stamp);
        Ok(Committed::Something)
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    // With NORMAL, commits that were acknowledged would be lost when the power fails.
    session::connect(path, "pragma synchronous = full; pragma foreign_keys = on")
}

fn begin(connection: &Connection) -> Result<(), Error> {
    // Immediate, because a transaction that begins by reading can be refused at its first write.
    connection.execute("begin immediate", ()).map(drop)
}

/// Runs the jobs without a savepoint each, which would cost two statements and a copy of each page that a job is the first
/// to change: a sixth of what SQLite does for a saga. Tells whether they have changed something; `None` where one of them
/// failed after it had: all must be taken back then.
fn run_bare(connection: &Connection, jobs: &mut Jobs) -> Option<bool> {
    let mut changed = false;
    for job in jobs {
        let verdict = job.run(connection);
        if connection.has_changed() {
            match verdict {
                Verdict::Keep => changed = true,
                Verdict::RollBack => return None,
            }
        }
    }
    Some(changed)
}

/// Runs each job behind a savepoint of its own. Tells whether what is kept has changed something.
fn run_apart(connection: &Connection, jobs: &mut Jobs) -> Result<bool, Error> {
    let mut changed = false;
    for job in jobs {
        connection.execute("savepoint job", ())?;
        match job.run(connection) {
            Verdict::Keep => changed |= connection.has_changed(),
            Verdict::RollBack => connection.roll_back()?,
        }
        connection.execute("release job", ())?;
    }
    Ok(changed)
}
