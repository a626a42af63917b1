//! SQLite: one file, one process.
//!
//! Everything that is SQLite's dialect or SQLite's habit is below this module. One file has one process
//! ([`open()`] holds a lock beside it) and one writer, a task that nobody cancels: it takes all the work that is
//! waiting, runs each piece so that its failure takes nothing else with it, commits once, and only then answers all.
//! Readers have connections of their own and see only what is committed.

pub mod backup;
pub mod open;

mod lock;
mod log;
mod migration;
mod readers;
mod session;
mod stamps;
mod witness;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use clock::{Clock, Timestamp};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::{
    Database, Error,
    backend::{Backend, Lane, ReadJob},
    job::Job,
    measures::{Load, Measured, Op},
    sqlite::{log::Log, readers::Readers, stamps::Stamper, witness::Witness},
    stamp::Ledger,
};

pub use migration::Schema;

/// Work that may wait for the writer; the next caller waits to hand its own over.
const JOB_QUEUE: usize = 4096;

/// How many connections read, and how many further ones read lists only.
const READERS: u32 = 4;
const LIST_READERS: u32 = 2;

/// Opens or creates the database in the file `path`, in a folder that exists, and brings it up to `schemas`. `clock` dates
/// its transactions.
///
/// # Errors
/// See [`open::Error`]: each is one sentence with its cure. Nothing is changed in a database that is refused.
pub async fn open(
    path: impl AsRef<Path>,
    schemas: &[Schema],
    clock: &Clock,
) -> Result<Database, open::Error> {
    let open::Opened { lock, path, stamps } = open::open(path.as_ref(), schemas, clock).await?;
    let ledger = Arc::new(Ledger::of(stamps.found));
    let log = Arc::new(Log::of(&path, clock.clone()));
    let stamper = Stamper::of(Arc::clone(&ledger), Arc::new(lock.witness()), clock.clone());
    let witness = stamper.witness();
    let (jobs, waiting) = mpsc::channel(JOB_QUEUE);
    let measured = Measured::default();
    let measures = |op| (clock.clone(), measured.clone(), op);
    let (running, ended) = watch::channel(());
    let commits = Arc::default();
    let readers = Arc::new(Readers::of(path.clone(), READERS, measures(Op::Read)));
    let list_readers = Arc::new(Readers::of(path.clone(), LIST_READERS, measures(Op::List)));
    let (failed, failing) = watch::channel(None);
    let thread =
        writer::Thread::of(path, stamper, Arc::clone(&log), (clock.clone(), measured.clone()));
    let mut writer = writer::Writer::new(thread, waiting, Arc::clone(&commits), failed);
    let closing = [Arc::clone(&readers), Arc::clone(&list_readers)];
    tokio::spawn(async move {
        writer.run().await;
        // The readers are closed first, so that the writer's thread does the work of the last connection that closes.
        for readers in closing {
            readers.close().await;
        }
        writer.close().await;
        // The lock is released last, because another process may open the file from here on.
        drop(lock);
        drop(running);
    });
    let jobs = Mutex::new(Some(jobs));
    let removal_from = stamps.removal_from;
    Ok(Database::on(Sqlite {
        jobs,
        readers,
        list_readers,
        commits,
        failing,
        ended,
        ledger,
        removal_from,
        log,
        witness,
        schema_version: schemas.iter().filter(|schema| schema.is_own()).map(Schema::version).sum(),
        measured,
    }))
}

#[derive(Debug)]
struct Sqlite {
    /// Taken out by [`Backend::close`], which is how the writer learns that no more work will come.
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    readers: Arc<Readers>,
    /// Used for lists only, so that a list never delays recovery or a repeat.
    list_readers: Arc<Readers>,
    commits: Arc<AtomicU64>,
    failing: watch::Receiver<Option<Error>>,
    /// Closes when the writer has ended and the file is free.
    ended: watch::Receiver<()>,
    ledger: Arc<Ledger>,
    removal_from: Timestamp,
    log: Arc<Log>,
    /// Held by the writer's thread alone: whoever keeps its file open keeps the lock on it.
    witness: Weak<Witness>,
    schema_version: usize,
    measured: Measured,
}

impl Backend for Sqlite {
    fn write(&self, job: Box<dyn Job>) -> BoxFuture<'_, Result<(), Error>> {
        // The clone of the sender lives only as long as this future: `close` waits until the last sender is dropped.
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(
            async move { jobs.ok_or(Error::Closed)?.send(job).await.map_err(|_| Error::Closed) },
        )
    }

    fn read(&self, lane: Lane, work: ReadJob) -> BoxFuture<'_, Result<(), Error>> {
        let readers = match lane {
            Lane::Work => &self.readers,
            Lane::Lists => &self.list_readers,
        };
        Box::pin(readers.read(work))
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn failing(&self) -> watch::Receiver<Option<Error>> {
        self.failing.clone()
    }

    fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    fn accept(&self) {
        if let Some(witness) = self.witness.upgrade() {
            witness.write(self.ledger.stamp());
        }
    }

    fn removal_from(&self) -> Timestamp {
        self.removal_from
    }

    fn log_bytes(&self) -> u64 {
        self.log.bytes()
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn schema_version(&self) -> usize {
        self.schema_version
    }

    fn load(&self) -> Load {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let queued = jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        let (readers, list_readers) = (self.readers.pool(), self.list_readers.pool());
        Load { queued, readers, list_readers }
    }

    fn measured(&self) -> &Measured {
        &self.measured
    }

    fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn ended(&self) -> watch::Receiver<()> {
        self.ended.clone()
    }
}
