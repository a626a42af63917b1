//! The journal: what happened to every saga, the truth from which all else can be rebuilt.
//!
//! A store keeps three promises. What [`Journal::start`] and [`Journal::append`] have answered is on disk. Of two
//! appends to one position of a saga at most one succeeds. An append whose outcome is unknown is an error, and the
//! journal must be read again before the saga goes on: nothing is ever appended blindly a second time.

pub mod chain;
pub mod compensations;
pub mod record;
pub mod tables;
pub mod unfinished;

mod ending;

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use clock::Timestamp;
use facade::Trace;
use saga::{Cause, Compensation, Reason, Status};
use store::{Database, retention::Keep};

pub use chain::Link;
pub use compensations::{Compensations, Window};
pub use ending::Ending;
pub use unfinished::UnfinishedCounts;

/// What a saga was started with. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Unique over all sagas; in the order of their starts.
    pub saga_id: String,
    /// The content hash of its definition.
    pub definition_hash: String,
    /// The definition's name.
    pub definition: String,
    /// The definition's version.
    pub version: u32,
    /// The idempotency key, unique per definition.
    pub key: String,
    /// The encoded request.
    pub request: Bytes,
    /// The trace that it was started in, as `facade::Trace::keep` writes it down.
    pub trace: String,
    /// When it turns back at the latest.
    pub deadline: Timestamp,
    /// When it was started.
    pub created_at: Timestamp,
}

/// What the log lines of a saga's task say of it.
impl facade::log::Fields for Header {
    fn each(&self, field: &mut dyn FnMut(&'static str, &dyn std::fmt::Display)) {
        field("saga.id", &self.saga_id);
        field("saga.name", &self.definition);
        field("trace.id", &Trace::id_of(&self.trace));
        if let Some(span_id) = Trace::span_id_of(&self.trace) {
            field("span.id", &span_id);
        }
    }
}

/// An encoded record at its place in a saga's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Dense from 0.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// See [`record`].
    pub record: Bytes,
    /// The hash over this record and all before it.
    pub link: Link,
}

/// A saga's number in its journal, which gives it at the start: what its records are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub i64);

/// What a start came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// The saga is new and on disk.
    New(Number),
    /// The same request was started under this key before.
    Already {
        /// The first saga's id.
        saga_id: String,
    },
    /// The same request was started under this key before, and its saga has been removed since.
    Removed(RemovedSaga),
    /// Another request was started under this key before.
    KeyReused,
    /// Nobody wanted it any more when it was its turn: nothing was written.
    Abandoned,
}

/// Whether somebody still wants what waits for its turn to be written.
#[derive(Clone, Debug)]
pub struct Wanted(Weak<()>);

impl Wanted {
    /// It is wanted for as long as the caller holds what comes with it.
    #[must_use]
    pub fn by_caller() -> (Arc<()>, Self) {
        let caller = Arc::new(());
        let wanted = Self(Arc::downgrade(&caller));
        (caller, wanted)
    }

    /// Whether it still is.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A saga that retention has removed, as its key's row keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedSaga {
    /// The saga's id.
    pub saga_id: String,
    /// How it ended.
    pub ending: Ending,
}

/// Why a saga turned back, is held, or was closed: a [`Cause`] with its step's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedCause {
    /// The reason.
    pub reason: Reason,
    /// The step that it is for; empty where it is for the saga as a whole.
    pub step: String,
}

impl NamedCause {
    /// The cause, with the name that its step has in the definition.
    #[must_use]
    pub fn of(cause: &Cause, definition: &saga::Definition) -> Self {
        let step = cause.step.map(|step| definition.step(step).name.clone());
        Self { reason: cause.reason.clone(), step: step.unwrap_or_default() }
    }
}

/// Where a saga stands, as the index shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state.
    pub status: Status,
    /// Why it is in that state, where there is something to say.
    pub why: Option<NamedCause>,
}

/// What records change of what the index has of their saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where the saga stands now.
    pub standing: Standing,
    /// Its compensation, where it has turned back.
    pub compensation: Option<Compensation>,
}

/// The record that brought a saga into the state that the index shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// Its sequence number. Nothing follows the one that ended a saga.
    pub seq: u64,
    /// Its link.
    pub link: Link,
}

/// A saga with its journal, read at one moment.
#[derive(Debug)]
pub struct Loaded {
    /// Its row in the index.
    pub index_row: IndexRow,
    /// Its records in order, with nothing decoded.
    pub entries: Result<Vec<Entry>, Error>,
}

/// A saga as the index has it.
#[derive(Clone, Debug)]
pub struct IndexRow {
    /// Its number.
    pub number: Number,
    /// What it was started with. In a list, without its request.
    pub header: Header,
    /// Where it stood when its state last changed.
    pub standing: Standing,
    /// When that was.
    pub updated_at: Timestamp,
    /// The record that changed it; `None` where it has not changed since the start.
    pub state_record: Option<StateRecord>,
    /// Until when it is asleep, where it is: it waits, for a person where this is [`FOR_A_PERSON`], with nothing under way and
    /// no task.
    pub asleep_until: Option<Timestamp>,
    /// Why it stands aside, where it does: its journal cannot be read or run, so the reason cannot stand there.
    pub aside: Option<Reason>,
}

impl IndexRow {
    /// Where it stands: one that stands aside needs a person, whatever its journal said last.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.aside {
            Some(_) if !self.standing.status.is_ended() => Status::Attention,
            _ => self.standing.status,
        }
    }
}

/// Which sagas to list. Empty fields filter nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Any of these.
    pub statuses: Vec<Status>,
    /// The definition's name.
    pub definition: String,
    /// The idempotency key.
    pub key: String,
    /// Started at or after.
    pub started_after: Option<Timestamp>,
    /// Started before.
    pub started_before: Option<Timestamp>,
}

/// A definition as it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// SHA-256 of the source, in hex.
    pub hash: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The YAML.
    pub source: String,
    /// The file that it was read from, for messages.
    pub file: String,
    /// The encoded descriptors that it was checked against.
    pub descriptors: Bytes,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Where it was archived: no saga begins by it any more.
    pub archived: Option<Archived>,
    /// The number of its last change among those of all definitions, given by the journal.
    pub change: u64,
}

/// That a definition was archived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// When.
    pub at: Timestamp,
    /// Why, in the words of the person who did it; may be empty.
    pub reason: String,
}

/// Why the journal did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store failed. Unless [`Error::wrote_nothing`], something may be on disk: read again before going on.
    #[error("the journal's database failed")]
    Store(#[source] store::Error),
    /// The journal is closed: the process is stopping.
    #[error("the journal is closed")]
    Closed,
    /// Another record stands at this position: another task has gone on with the saga.
    #[error("the saga has a record {seq} already")]
    Taken {
        /// The position.
        seq: u64,
    },
    /// More records than a saga can have.
    #[error("a saga cannot have a record {seq}: {max} is the last", max = (1 << tables::SEQ_BITS) - 1)]
    Full {
        /// The position.
        seq: u64,
    },
    /// A row that no version of this program writes.
    #[error("a row of the journal makes no sense: {0}")]
    Unreadable(String),
}

impl Error {
    /// Whether nothing was written for certain.
    #[must_use]
    pub fn wrote_nothing(&self) -> bool {
        use store::Error as Store;
        match self {
            Self::Store(error) => {
                matches!(
                    error,
                    Store::Closed
                        | Store::Panicked(_)
                        | Store::Statement(_)
                        | Store::Taken(_)
                        | Store::Conflict(_)
                        | Store::NoRow
                        | Store::Mistyped { .. }
                        | Store::Unreadable { .. }
                )
            }
            Self::Closed | Self::Taken { .. } | Self::Full { .. } | Self::Unreadable(_) => true,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Closed => Self::Closed,
            error @ store::Error::Mistyped { .. } => Self::Unreadable(facade::wire::causes(&error)),
            error => Self::Store(error),
        }
    }
}

/// The place of an unfinished saga in the index: ordered by its state, then by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unfinished {
    /// The state, as the index has it.
    pub state: String,
    /// The saga.
    pub saga_id: String,
}

/// Until when a saga is asleep that waits for a person.
pub const FOR_A_PERSON: Timestamp = Timestamp(i64::MAX.unsigned_abs());

/// A saga that is asleep, at its place in the index: ordered by when it is due, then by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asleep {
    /// When it is due.
    pub until: Timestamp,
    /// The saga.
    pub saga_id: String,
    /// Its definition's name.
    pub definition: String,
}

/// Which sagas are let in again that stand aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readmit {
    /// This one.
    Saga(String),
    /// All that were set aside for this reason.
    Reason(String),
}

/// A shared journal.
pub type Shared = Arc<dyn Journal>;

/// Where sagas are recorded.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Starts a saga with its first records, unless its definition and key were started before; `change` where they
    /// have taken it out of RUNNING. One that is not `wanted` any more when it is its turn is not started.
    async fn start(
        &self,
        header: Header,
        entries: Vec<Entry>,
        change: Option<Change>,
        wanted: Wanted,
    ) -> Result<Started, Error>;

    /// Appends records to a saga, all or none, and puts into the index what they change of it. A compensation that ended
    /// is counted then.
    async fn append(
        &self,
        saga: Number,
        entries: Vec<Entry>,
        change: Option<Change>,
    ) -> Result<(), Error>;

    /// A saga as the index has it.
    async fn find(&self, saga_id: &str) -> Result<Option<IndexRow>, Error>;

    /// A saga with all its records.
    async fn load(&self, saga_id: &str) -> Result<Option<Loaded>, Error>;

    /// A saga with its records from `from` on, for people: never keeps those waiting that run.
    async fn look(&self, saga_id: &str, from: u64) -> Result<Option<Loaded>, Error>;

    /// At most `limit` of the saga's records from `from` on, in order, with nothing decoded; for people.
    async fn read(&self, saga_id: &str, from: u64, limit: u32) -> Result<Vec<Entry>, Error>;

    /// Puts down until when a saga waits that no task runs from now on, with nothing under way.
    async fn sleep(&self, saga: Number, until: Timestamp) -> Result<(), Error>;

    /// Puts down that a task runs a saga that was asleep: whatever happens, it is found by [`Journal::unfinished`] then.
    async fn wake(&self, saga: Number) -> Result<(), Error>;

    /// Makes every saga due that is asleep until an instant and whose last record was made after `now`: it fell asleep by a
    /// clock that has been set back since, and may be waiting for an instant that is years ahead.
    async fn make_due(&self, now: Timestamp) -> Result<(), Error>;

    /// The sagas that are asleep after the one at `after`, but for those of the definitions `but`; the next to be due first.
    async fn asleep(
        &self,
        after: &Asleep,
        but: &[String],
        limit: u32,
    ) -> Result<Vec<Asleep>, Error>;

    /// The ids of sagas that have neither ended nor stand aside nor are asleep, after the one at `after`. A row that makes no sense is
    /// among them, and says so in [`IndexRow::aside`] when it is loaded.
    async fn unfinished(&self, after: &Unfinished, limit: u32) -> Result<Vec<Unfinished>, Error>;

    /// Sagas, newest first, that started before the saga `before` (empty: all). Never keeps those waiting that run.
    async fn list(&self, filter: &Filter, before: &str, limit: i64)
    -> Result<Vec<IndexRow>, Error>;

    /// What compensations came to within the window, of one definition or, where that is empty, of each. Costs the same
    /// however many sagas have ended. Never keeps those waiting that run.
    async fn compensations(&self, window: Window, definition: &str)
    -> Result<Compensations, Error>;

    /// How many sagas have not ended, by where they stand; of those that are asleep, how many are due at `now`. Costs the
    /// same however many sagas have ended, and never keeps those waiting that run.
    async fn count_unfinished(&self, now: Timestamp) -> Result<UnfinishedCounts, Error>;

    /// Sets a saga aside that cannot be read or run. Its records stay as they are.
    async fn set_aside(&self, saga_id: &str, why: Reason) -> Result<(), Error>;

    /// Lets sagas that stand aside be found by [`Journal::unfinished`] again.
    async fn readmit(&self, which: Readmit) -> Result<(), Error>;

    /// Ends a saga that stands aside as a person says; false where it does not stand aside, or has ended.
    async fn close_aside(&self, saga_id: &str, why: Reason, at: Timestamp) -> Result<bool, Error>;

    /// Removes at most `limit` of the sagas that have ended before `before`, oldest first, whole; gives how many. No saga
    /// that has not ended is ever removed. Its key stays, with how it ended, for `keep_keys` from its end.
    async fn remove_ended(
        &self,
        before: Timestamp,
        keep_keys: Keep,
        limit: u32,
    ) -> Result<u64, Error>;

    /// Removes at most `limit` rows of what is counted of compensations that ended before `before`; gives how many.
    async fn remove_compensations(&self, before: Timestamp, limit: u32) -> Result<u64, Error>;

    /// What a start under this definition and key came to before, where there was one.
    async fn earlier_start(&self, header: &Header) -> Result<Option<Started>, Error>;

    /// What is kept under a key whose saga has been removed.
    async fn removed_saga(&self, definition: &str, key: &str)
    -> Result<Option<RemovedSaga>, Error>;

    /// Removes at most `limit` of the keys that were kept until before `now`; gives how many.
    async fn remove_keys(&self, now: Timestamp, limit: u32) -> Result<u64, Error>;

    /// Registers a definition, unless it is; the one that is registered under its name and version then.
    async fn register(&self, definition: Definition) -> Result<Definition, Error>;

    /// Archives a definition, or unarchives it: one version, or with 0 all. What stands so already stays
    /// as it is.
    async fn archive(
        &self,
        name: &str,
        version: u32,
        archived: Option<Archived>,
    ) -> Result<(), Error>;

    /// The definitions whose last change has this number or a greater one, the first change first; from 0 on, all.
    async fn definitions(&self, from: u64) -> Result<Vec<Definition>, Error>;

    /// The database that it is in.
    fn database(&self) -> &Database;
}
