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
    sqlite::job::{Job, Verdict},
    store::Error,
};

/// Jobs in one transaction. More would make the first of them wait longer than a commit takes.
const BATCH: usize = 256;

pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        jobs: mpsc::Receiver<Box<dyn Job>>,
        commits: Arc<AtomicU64>,
    ) -> Self {
        Self { options, connection: Some(connection), jobs, commits }
    }

    /// Works until nobody can hand over more and everything is done.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.jobs.recv_many(&mut batch, BATCH).await > 0 {
            let mut transaction = self.transact(&mut batch).await;
            if planted::is(Bug::AnswerBeforeCommit) {
                transaction = Ok(());
            }
            for job in batch.drain(..) {
                job.acknowledge(transaction.clone());
            }
        }
        self.disconnect().await;
    }

    async fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let transaction = commit_together(&mut connection, batch).await;
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.connection = Some(connection);
        if let Err(cause) = &transaction {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                jobs = batch.len(),
                "a transaction failed; its connection is replaced"
            );
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
    let mut transaction = connection.begin_with("begin immediate").await?;
    if let [alone] = batch {
        // A savepoint would only repeat what the transaction itself can undo.
        return match alone.run(&mut transaction).await {
            Verdict::Keep => transaction.commit().await.map_err(Error::commit),
            Verdict::RollBack => Ok(transaction.rollback().await?),
        };
    }
    for job in batch {
        let mut savepoint = transaction.begin().await?;
        match job.run(&mut savepoint).await {
            Verdict::Keep => savepoint.commit().await?,
            Verdict::RollBack => savepoint.rollback().await?,
        }
    }
    transaction.commit().await.map_err(Error::commit)
}
