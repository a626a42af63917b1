//! SQLite: one file, one process.
//!
//! Everything that is SQLite's dialect or SQLite's habit is below this module. One file has one process
//! ([`open`] holds a lock beside it) and one writer, a task that nobody cancels: it takes all the work that is
//! waiting, runs each piece so that its failure takes nothing else with it, commits once, and only then answers all.
//! Readers have connections of their own and see only what is committed.

pub mod open;

mod connection;
mod instant;
mod job;
mod migration;
mod readers;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use crate::{
    Error, Store, Work,
    sqlite::{job::Job, readers::Readers},
};

pub use connection::{Connection, Prepared, Row, is_taken};
pub use instant::millis;
pub use migration::Schema;

/// Work that may wait for the writer; the next caller waits to hand its own over.
const JOB_QUEUE: usize = 4096;

/// Connections for reading, and of these apart for lists.
const READERS: u32 = 4;
const SEARCHERS: u32 = 2;

/// An open database. Cheap to clone; closed when [`Database::close`] returns, or soon after the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub struct Database(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    /// Taken out by [`Database::close`], which is how the writer learns that no more work will come.
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    readers: Arc<Readers>,
    /// Apart, so that a list never keeps those waiting who carry sagas on.
    searchers: Arc<Readers>,
    commits: Arc<AtomicU64>,
    /// Closes when the writer has ended and the file is free.
    ended: watch::Receiver<()>,
}

impl Database {
    /// Opens or creates the database in the file `path`, in a folder that exists, and brings it up to `schemas`.
    ///
    /// # Errors
    /// See [`open::Error`]: each is one sentence with its cure. Nothing is changed in a database that is refused.
    pub async fn open(path: impl AsRef<Path>, schemas: &[Schema]) -> Result<Self, open::Error> {
        let open::Opened { lock, path } = open::open(path.as_ref(), schemas).await?;
        let (jobs, waiting) = mpsc::channel(JOB_QUEUE);
        let (running, ended) = watch::channel(());
        let commits = Arc::default();
        let readers = Arc::new(Readers::of(path.clone(), READERS));
        let searchers = Arc::new(Readers::of(path.clone(), SEARCHERS));
        let mut writer = writer::Writer::new(path, waiting, Arc::clone(&commits));
        let closing = [Arc::clone(&readers), Arc::clone(&searchers)];
        tokio::spawn(async move {
            writer.run().await;
            // The readers first: what the last connection does when it closes is work for the writer's thread.
            for readers in closing {
                readers.close().await;
            }
            writer.close().await;
            // Last of all: another process may open the file from here on.
            drop(lock);
            drop(running);
        });
        let jobs = Mutex::new(Some(jobs));
        Ok(Self(Arc::new(Handles { jobs, readers, searchers, commits, ended })))
    }

    /// Runs `work` on a connection that sees what is committed at one moment, and that refuses to write.
    ///
    /// # Errors
    /// The work's own, or that it was not carried out.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.0.readers.read(work).await
    }

    /// Runs `work` as [`Database::read`] does, on connections apart: for people, whose lists may take long.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn search<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.0.searchers.read(work).await
    }

    /// How many transactions were committed since the database was opened: how often the writer has waited for the disk.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }

    /// The database for somebody who does not keep it open.
    #[must_use]
    pub fn downgrade(&self) -> WeakDatabase {
        WeakDatabase { handles: Arc::downgrade(&self.0), ended: self.0.ended.clone() }
    }

    /// Takes no more work, finishes what was handed over, and frees the file. May be called again.
    pub async fn close(&self) {
        drop(self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ended = self.0.ended.clone();
        // The error is the news: the sender is dropped when the writer has ended.
        while ended.changed().await.is_ok() {}
    }

    async fn hand_over(&self, job: Box<dyn Job>) -> Result<(), Error> {
        let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The sender is kept no longer than this: `close` waits for the last one.
        jobs.ok_or(Error::Closed)?.send(job).await.map_err(|_| Error::Closed)
    }
}

/// A [`Database`] that is not kept open.
#[derive(Clone, Debug)]
pub struct WeakDatabase {
    handles: Weak<Handles>,
    ended: watch::Receiver<()>,
}

impl WeakDatabase {
    /// The database, where somebody else has it open.
    #[must_use]
    pub fn upgrade(&self) -> Option<Database> {
        self.handles.upgrade().map(Database)
    }

    /// Completes when the database is closed.
    pub async fn closed(&mut self) {
        // The error is the news: the sender is dropped when the writer has ended.
        while self.ended.changed().await.is_ok() {}
    }
}

impl Store for Database {
    type Connection = Connection;

    /// Work must leave the transaction that it is given open: it may use a savepoint, never a bare `commit` or
    /// `rollback`. It changes rows and no tables: by the rows that it has changed it is known whether there is something
    /// to take back. It must not wait for another write of the same database, which would come after itself and so
    /// never.
    async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: for<'t> FnMut(&'t mut Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (job, answer) = job::pair(Box::new(work) as Work<Connection, T, E>);
        self.hand_over(job).await?;
        answer.await.unwrap_or_else(|_| Err(Error::Unanswered.into()))
    }

    async fn retract(connection: &mut Connection) -> Result<(), Error> {
        writer::retract(connection)
    }
}
