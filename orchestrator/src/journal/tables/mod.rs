//! The journal in the tables of a database.
//!
//! Lock order: a row of `saga_key`, then rows of `event`, ascending, then the row of `saga`, then that
//! of `compensation`, then rows of `compensation_count`, the shortest span first; a new one of `saga`, which nobody else can
//! have yet, before its records. A transaction is about one saga, with two exceptions. Retention takes sagas
//! from the one that ended first, and keys from the one that is due first. Letting in again all sagas that stand aside for
//! one reason takes their rows as they come: two nodes that do so at once may fail for each other, and are run again.

mod compensations;
mod definitions;
mod keys;
mod list;
mod query;
mod rows;
mod statements;
mod unfinished;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use clock::{Clock, Timestamp};
use saga::Reason;
use store::{
    Connection, Database,
    retention::Keep,
    sqlite::{self, Schema},
};

use super::{
    Archived, Asleep, Change, Compensations, Definition, Entry, Error, Filter, Header, IndexRow,
    Journal, Loaded, Number, Readmit, RemovedSaga, Started, Unfinished, UnfinishedCounts, Wanted,
    Window,
};

use statements::Numbers;

pub(super) use rows::SEQ_BITS;

const SCHEMA: Schema = Schema::own(&[
    ("journal", include_str!("../../../migrations/0001_journal.sql")),
    ("retention", include_str!("../../../migrations/0002_retention.sql")),
    ("asleep", include_str!("../../../migrations/0003_asleep.sql")),
    ("registrations", include_str!("../../../migrations/0004_registrations.sql")),
    ("compensations", include_str!("../../../migrations/0005_compensations.sql")),
    ("unfinished", include_str!("../../../migrations/0006_unfinished.sql")),
    ("archive_reason", include_str!("../../../migrations/0007_archive_reason.sql")),
]);

/// The journal in a database of its own.
#[derive(Debug)]
pub struct Tables {
    database: Database,
    numbers: Arc<Numbers>,
}

impl Tables {
    /// Opens or creates the journal in the SQLite file `path`. `clock` dates its transactions.
    ///
    /// # Errors
    /// See [`sqlite::open::Error`]: each is one sentence with its cure.
    pub async fn open(path: &Path, clock: &Clock) -> Result<Self, sqlite::open::Error> {
        let database = sqlite::open(path, &[SCHEMA], clock).await?;
        Ok(Self { database, numbers: Arc::default() })
    }

    /// Whatever waits for the writer at the same time shares a commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.database.write(work).await
    }
}

#[async_trait]
impl Journal for Tables {
    async fn start(
        &self,
        header: Header,
        entries: Vec<Entry>,
        change: Option<Change>,
        wanted: Wanted,
    ) -> Result<Started, Error> {
        let numbers = Arc::clone(&self.numbers);
        self.write(move |connection| {
            if !wanted.is_wanted() {
                return Ok(Started::Abandoned);
            }
            let request_hash = keys::hash(&header.request);
            if !keys::claim(connection, &header, &request_hash)? {
                let earlier = keys::earlier_start(connection, &header, &request_hash)?;
                return earlier.ok_or(Error::Store(store::Error::NoRow));
            }
            let number = statements::start(connection, &numbers, &header)?;
            statements::append(connection, number, &entries, change.as_ref())?;
            Ok(Started::New(number))
        })
        .await
    }

    async fn append(
        &self,
        saga: Number,
        entries: Vec<Entry>,
        change: Option<Change>,
    ) -> Result<(), Error> {
        let write = move |connection: &Connection| {
            statements::append(connection, saga, &entries, change.as_ref())
        };
        self.write(write).await
    }

    async fn find(&self, saga_id: &str) -> Result<Option<IndexRow>, Error> {
        let saga_id = saga_id.to_owned();
        self.database.read(move |connection| query::find(connection, &saga_id)).await
    }

    async fn look(&self, saga_id: &str, from: u64) -> Result<Option<Loaded>, Error> {
        let saga_id = saga_id.to_owned();
        self.database.search(move |connection| query::load(connection, &saga_id, from)).await
    }

    async fn read(&self, saga_id: &str, from: u64, limit: u32) -> Result<Vec<Entry>, Error> {
        let saga_id = saga_id.to_owned();
        self.database
            .search(move |connection| query::entries_of(connection, &saga_id, from, limit))
            .await
    }

    async fn load(&self, saga_id: &str) -> Result<Option<Loaded>, Error> {
        let saga_id = saga_id.to_owned();
        self.database.read(move |connection| query::load(connection, &saga_id, 0)).await
    }

    async fn unfinished(&self, after: &Unfinished, limit: u32) -> Result<Vec<Unfinished>, Error> {
        let after = after.clone();
        self.database.read(move |connection| query::unfinished(connection, &after, limit)).await
    }

    async fn sleep(&self, saga: Number, until: Timestamp) -> Result<(), Error> {
        self.write(move |connection| statements::sleep(connection, saga, Some(until))).await
    }

    async fn wake(&self, saga: Number) -> Result<(), Error> {
        self.write(move |connection| statements::sleep(connection, saga, None)).await
    }

    async fn make_due(&self, now: Timestamp) -> Result<(), Error> {
        self.write(move |connection| statements::make_due(connection, now)).await
    }

    async fn asleep(
        &self,
        after: &Asleep,
        but: &[String],
        limit: u32,
    ) -> Result<Vec<Asleep>, Error> {
        let (after, but) = (after.clone(), but.to_vec());
        self.database.read(move |connection| query::asleep(connection, &after, &but, limit)).await
    }

    async fn list(
        &self,
        filter: &Filter,
        before: &str,
        limit: i64,
    ) -> Result<Vec<IndexRow>, Error> {
        let (filter, before) = (filter.clone(), before.to_owned());
        self.database
            .search(move |connection| list::list(connection, &filter, &before, limit))
            .await
    }

    async fn compensations(
        &self,
        window: Window,
        definition: &str,
    ) -> Result<Compensations, Error> {
        let definition = definition.to_owned();
        self.database
            .search(move |connection| compensations::within(connection, window, &definition))
            .await
    }

    async fn count_unfinished(&self, now: Timestamp) -> Result<UnfinishedCounts, Error> {
        self.database.search(move |connection| unfinished::counts(connection, now)).await
    }

    async fn set_aside(&self, saga_id: &str, why: Reason) -> Result<(), Error> {
        let saga_id = saga_id.to_owned();
        self.write(move |connection| statements::set_aside(connection, &saga_id, &why)).await
    }

    async fn readmit(&self, which: Readmit) -> Result<(), Error> {
        self.write(move |connection| statements::readmit(connection, &which)).await
    }

    async fn close_aside(&self, saga_id: &str, why: Reason, at: Timestamp) -> Result<bool, Error> {
        let saga_id = saga_id.to_owned();
        self.write(move |connection| statements::close_aside(connection, &saga_id, &why, at)).await
    }

    async fn remove_ended(
        &self,
        before: Timestamp,
        keep_keys: Keep,
        limit: u32,
    ) -> Result<u64, Error> {
        self.write(move |connection| keys::remove_ended(connection, before, keep_keys, limit)).await
    }

    async fn remove_compensations(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        self.write(move |connection| compensations::remove(connection, before, limit)).await
    }

    async fn earlier_start(&self, header: &Header) -> Result<Option<Started>, Error> {
        let header = header.clone();
        self.database
            .read(move |connection| {
                keys::earlier_start(connection, &header, &keys::hash(&header.request))
            })
            .await
    }

    async fn removed_saga(
        &self,
        definition: &str,
        key: &str,
    ) -> Result<Option<RemovedSaga>, Error> {
        let (definition, key) = (definition.to_owned(), key.to_owned());
        self.database
            .read(move |connection| keys::removed_saga(connection, &definition, &key))
            .await
    }

    async fn remove_keys(&self, now: Timestamp, limit: u32) -> Result<u64, Error> {
        self.write(move |connection| keys::remove(connection, now, limit)).await
    }

    async fn register(&self, definition: Definition) -> Result<Definition, Error> {
        self.write(move |connection| definitions::register(connection, &definition)).await
    }

    async fn archive(
        &self,
        name: &str,
        version: u32,
        archived: Option<Archived>,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        self.write(move |connection| {
            definitions::archive(connection, &name, version, archived.as_ref())
        })
        .await
    }

    async fn definitions(&self, from: u64) -> Result<Vec<Definition>, Error> {
        self.database.read(move |connection| definitions::changed(connection, from)).await
    }

    fn database(&self) -> &Database {
        &self.database
    }
}
