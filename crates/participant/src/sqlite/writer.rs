//! The one writer of a database: many callers, one connection, one commit for all who wait.
//!
//! Nobody is answered before the commit that holds their work, and all of a transaction are answered by it
//! alike. A failed transaction costs the connection too: what state it was left in is nobody's guess, and a
//! fresh one reads the truth from the disk.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use planted::Bug;
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::mpsc;

use crate::{
    sqlite::{
        job::{Job, Verdict},
        script,
    },
    store::Error,
};

/// Jobs in one transaction. More would make the first of them wait longer than a commit takes.
const BATCH: usize = 256;

/// What the writer is handed.
pub(super) enum Task {
    /// Shares its transaction with the others that wait.
    Job(Box<dyn Job>),
    /// A transaction of its own.
    Script(script::Pending),
}

pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    tasks: mpsc::Receiver<Task>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        tasks: mpsc::Receiver<Task>,
        commits: Arc<AtomicU64>,
    ) -> Self {
        Self { options, connection: Some(connection), tasks, commits }
    }

    /// Works until nobody can hand over more and everything is done.
    pub(super) async fn run(mut self) {
        let mut tasks = Vec::with_capacity(BATCH);
        while self.tasks.recv_many(&mut tasks, BATCH).await > 0 {
            let mut jobs = Vec::with_capacity(tasks.len());
            for task in tasks.drain(..) {
                match task {
                    Task::Job(job) => jobs.push(job),
                    Task::Script(pending) => self.play(pending).await,
                }
            }
            if !jobs.is_empty() {
                self.work_off(jobs).await;
            }
        }
        self.disconnect().await;
    }

    async fn play(&mut self, script::Pending { script, caller }: script::Pending) {
        let played = self.transact(async |connection| script.run(connection).await).await;
        // A caller who has gone is no loss: what was written stands.
        let _ = caller.send(match played {
            Err(_) if planted::is(Bug::AnswerBeforeCommit) => Ok(Vec::new()),
            played => played,
        });
    }

    async fn work_off(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let transaction =
            self.transact(async |connection| commit_together(connection, &mut jobs).await).await;
        if let Err(cause) = &transaction {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                jobs = jobs.len(),
                "a transaction failed; its connection is replaced"
            );
        }
        for job in jobs {
            job.acknowledge(match planted::is(Bug::AnswerBeforeCommit) {
                true => Ok(()),
                false => transaction.clone(),
            });
        }
    }

    async fn transact<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let transaction = work(&mut connection).await;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.connection = Some(connection);
        if transaction.is_err() {
            self.disconnect().await;
        }
        transaction
    }

    async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(cause) = connection.close().await
        {
            tracing::warn!(error = &cause as &dyn std::error::Error, "a connection did not close");
        }
    }
}

async fn commit_together(
    connection: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
) -> Result<(), Error> {
    // A transaction that begins by reading could be refused when it comes to write.
    let mut transaction = connection.begin_with(FIRST).await?;
    let mut kept = false;
    for (number, job) in batch.iter_mut().enumerate() {
        if number > 0 {
            sqlx::raw_sql(NEXT).execute(&mut *transaction).await?;
        }
        match job.run(&mut transaction).await {
            Verdict::Keep => kept = true,
            Verdict::RollBack => retract(&mut transaction).await?,
        }
    }
    match kept {
        true => transaction.commit().await.map_err(Error::commit),
        // Nobody is made to wait for the disk for nothing.
        false => Ok(transaction.rollback().await?),
    }
}

// Each job has the savepoint `job` to itself. Plain SQL and not sqlx's `begin`: a statement costs a hand-over to the
// connection's thread and back, and so leaving one savepoint and entering the next is one.
const FIRST: &str = "begin immediate; savepoint job";
const NEXT: &str = "release job; savepoint job";

/// Takes back what the running job has done so far; it may go on.
pub(super) async fn retract(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::raw_sql("rollback to job").execute(connection).await?;
    Ok(())
}
