//! The journal in SQLite.

pub(super) mod statements;

mod query;
mod rows;

use std::path::Path;

use async_trait::async_trait;
use clock::Timestamp;
use participant::{Database, Store, sqlite::open};
use saga::{Reason, Status};

use super::{
    Definition, Entry, Error, Filter, Header, Journal, Listed, Readmit, Started,
    group_commit::{GroupCommit, Write},
};

/// The journal in one SQLite file: WAL, `synchronous=FULL`, one writer.
#[derive(Debug)]
pub struct Sqlite {
    database: Database,
    commits: GroupCommit,
}

impl Sqlite {
    /// Opens or creates the journal in the file `path`.
    ///
    /// # Errors
    /// See [`open::Error`]: each is one sentence with its cure.
    pub async fn open(path: &Path) -> Result<Self, open::Error> {
        let migrations = participant::sqlite::migrations(&[
            ("journal", include_str!("../../../migrations/0001_journal.sql")),
            ("retention", include_str!("../../../migrations/0002_retention.sql")),
        ]);
        let database = Database::open(path, &migrations).await?;
        Ok(Self { commits: GroupCommit::start(database.clone()), database })
    }
}

#[async_trait]
impl Journal for Sqlite {
    async fn start(
        &self,
        header: Header,
        entries: Vec<Entry>,
        status: Option<Status>,
    ) -> Result<Started, Error> {
        let saga_id = header.saga_id.clone();
        self.commits.write(Write { saga_id, header: Some(header), entries, status }).await
    }

    async fn append(
        &self,
        saga_id: &str,
        entries: Vec<Entry>,
        status: Option<Status>,
    ) -> Result<(), Error> {
        self.commits
            .write(Write { saga_id: saga_id.to_owned(), header: None, entries, status })
            .await
            .map(|_| ())
    }

    async fn find(&self, saga_id: &str) -> Result<Option<Listed>, Error> {
        query::find(self.database.read(), saga_id).await
    }

    async fn read(&self, saga_id: &str, from: u64) -> Result<Vec<Entry>, Error> {
        query::entries(self.database.read(), saga_id, from).await
    }

    async fn unfinished(&self, after: &str, limit: u32) -> Result<Vec<Listed>, Error> {
        query::unfinished(self.database.read(), after, limit).await
    }

    async fn list(&self, filter: &Filter, before: &str, limit: i64) -> Result<Vec<Listed>, Error> {
        query::list(self.database.read(), filter, before, limit).await
    }

    async fn set_aside(&self, saga_id: &str, why: Reason) -> Result<(), Error> {
        let saga_id = saga_id.to_owned();
        self.database
            .write(move |connection| {
                Box::pin(async move { statements::set_aside(connection, &saga_id, &why).await })
            })
            .await
    }

    async fn readmit(&self, which: Readmit) -> Result<(), Error> {
        self.database
            .write(move |connection| {
                Box::pin(async move { statements::readmit(connection, &which).await })
            })
            .await
    }

    async fn close_aside(&self, saga_id: &str, why: Reason, at: Timestamp) -> Result<bool, Error> {
        let saga_id = saga_id.to_owned();
        self.database
            .write(move |connection| {
                Box::pin(
                    async move { statements::close_aside(connection, &saga_id, &why, at).await },
                )
            })
            .await
    }

    async fn remove_ended(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let removed = self.database.play(statements::remove_ended(before, limit)).await?;
        Ok(removed.len().try_into().unwrap_or(u64::MAX))
    }

    async fn register(&self, definition: Definition) -> Result<Definition, Error> {
        self.database
            .write(move |connection| {
                Box::pin(async move { statements::register(connection, definition).await })
            })
            .await
    }

    async fn definitions(&self) -> Result<Vec<Definition>, Error> {
        query::definitions(self.database.read()).await
    }

    fn commits(&self) -> u64 {
        self.database.commits()
    }

    async fn close(&self) {
        self.database.close().await;
    }
}
