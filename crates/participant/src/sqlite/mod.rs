//! SQLite: a service's own database, and the inbox in it.
//!
//! Everything that is SQLite's dialect or SQLite's habit is below this module. One file has one process
//! ([`open`] holds a lock beside it) and one writer, a task that nobody cancels: it takes all the work that is
//! waiting, runs each piece behind a savepoint of its own, commits once, and only then answers all of them.
//! Readers have connections of their own and see only what is committed.

pub mod open;

mod job;
mod migration;
mod rows;
mod script;
mod writer;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use sqlx::{SqliteConnection, SqlitePool, migrate::Migrator, sqlite::SqliteRow};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    sqlite::writer::Task,
    store::{self, Store},
};

pub use migration::migrations;
pub use script::Script;

/// Work that may wait for the writer; the next caller waits to hand its own over.
const QUEUE: usize = 1024;

/// An open database. Cheap to clone; closed when [`Database::close`] returns, or soon after the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub struct Database(Arc<Handles>);

#[derive(Debug)]
struct Handles {
    /// Taken out by [`Database::close`], which is how the writer learns that no more work will come.
    tasks: Mutex<Option<mpsc::Sender<Task>>>,
    readers: SqlitePool,
    commits: Arc<AtomicU64>,
    /// Closes when the writer has ended and the file is free.
    ended: watch::Receiver<()>,
}

impl Database {
    /// Opens or creates the database in the file `path`, in a folder that exists, and brings its schema up to
    /// `migrator` (see [`migrations`]) and to the inbox's own.
    ///
    /// # Errors
    /// See [`open::Error`]: each is one sentence with its cure. Nothing is changed in a database that is refused.
    pub async fn open(path: impl AsRef<Path>, migrator: &Migrator) -> Result<Self, open::Error> {
        let open::Opened { lock, options, connection, readers } =
            open::open(path.as_ref(), migrator).await?;
        let (tasks, waiting) = mpsc::channel(QUEUE);
        let (running, ended) = watch::channel(());
        let commits = Arc::default();
        let writer = writer::Writer::new(options, connection, waiting, Arc::clone(&commits));
        let closing = readers.clone();
        tokio::spawn(async move {
            writer.run().await;
            closing.close().await;
            // Last of all: another process may open the file from here on.
            drop(lock);
            drop(running);
        });
        Ok(Self(Arc::new(Handles { tasks: Mutex::new(Some(tasks)), readers, commits, ended })))
    }

    /// Connections for reading. They see what is committed and refuse to write.
    #[must_use]
    pub fn read(&self) -> &SqlitePool {
        &self.0.readers
    }

    /// How often the writer has waited for the disk since the database was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits.load(Ordering::Relaxed)
    }

    /// Takes no more work, finishes what was handed over, and frees the file. May be called again.
    pub async fn close(&self) {
        drop(self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ended = self.0.ended.clone();
        // The error is the news: the sender is dropped when the writer has ended.
        while ended.changed().await.is_ok() {}
    }

    /// Runs `script` and gives the rows that its statements returned. Answers only after its commit is on disk; like
    /// other work it runs to its end even when the returned future is dropped.
    ///
    /// # Errors
    /// Nothing was kept, unless it is [`store::Error::Commit`] or [`store::Error::Unanswered`].
    pub async fn play(&self, script: Script) -> Result<Vec<SqliteRow>, store::Error> {
        let (caller, answer) = oneshot::channel();
        self.hand_over(Task::Script(script::Pending { script, caller })).await?;
        answer.await.unwrap_or(Err(store::Error::Unanswered))
    }

    async fn hand_over(&self, task: Task) -> Result<(), store::Error> {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The sender is kept no longer than this: `close` waits for the last one.
        tasks.ok_or(store::Error::Closed)?.send(task).await.map_err(|_| store::Error::Closed)
    }
}

impl Store for Database {
    type Connection = SqliteConnection;

    /// Work must leave the transaction that it is given open: it may use `begin` for a savepoint, never a bare
    /// `commit` or `rollback`. It must not wait for another write of the same database, which would come after
    /// itself and so never.
    async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<store::Error> + Send + 'static,
        W: for<'t> FnOnce(&'t mut SqliteConnection) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let (job, answer) = job::pair(Box::new(work));
        self.hand_over(Task::Job(job)).await?;
        answer.await.unwrap_or_else(|_| Err(store::Error::Unanswered.into()))
    }

    async fn retract(connection: &mut SqliteConnection) -> Result<(), store::Error> {
        writer::retract(connection).await
    }

    async fn insert(
        connection: &mut SqliteConnection,
        key: &crate::Key,
        row: &store::Row,
    ) -> Result<bool, store::Error> {
        rows::insert(connection, key, row).await
    }

    async fn find(
        connection: &mut SqliteConnection,
        key: &crate::Key,
    ) -> Result<Option<store::Row>, store::Error> {
        rows::find(connection, key).await
    }

    async fn settle(
        connection: &mut SqliteConnection,
        key: &crate::Key,
        held: &store::Held,
    ) -> Result<(), store::Error> {
        rows::settle(connection, key, held).await
    }
}
