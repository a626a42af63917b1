//! What the inbox needs of a database: work in a transaction, a way back to where it began, and three
//! statements on its table.
//!
//! A store must keep two promises beyond the methods' own. Work that was handed over runs to its end whatever
//! becomes of the future that waits for it. And of two transactions that claim the same key, the second waits
//! for the first to end before it learns whether a row is there: that is what makes a call and its undo, or
//! two deliveries of one call, take turns.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use futures::future::BoxFuture;

use crate::{answer::Decline, key::Key, request::Fingerprint, retention::Keep};

/// Work on a connection that is inside a transaction. It waits for nothing but that connection: every other
/// writer may be waiting for it. It may be run more than once, each time on what was there before, and must do the same
/// each time: what it did before is taken back.
pub type Work<C, T, E> = Box<dyn for<'t> FnMut(&'t mut C) -> BoxFuture<'t, Result<T, E>> + Send>;

/// A database that can hold an inbox.
pub trait Store: Clone + Send + Sync + 'static {
    /// A connection inside a transaction.
    type Connection: Send + 'static;

    /// Runs `work` in a transaction, as [`Work`] says, and answers only after its commit is on disk. An `Err` of the work
    /// leaves nothing of it behind and is given back.
    ///
    /// Dropping the future does not stop work that has been handed over.
    fn write<T, E, W>(&self, work: W) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: for<'t> FnMut(&'t mut Self::Connection) -> BoxFuture<'t, Result<T, E>> + Send + 'static;

    /// Takes back all that the running work has done so far; the work goes on as if it had just begun. Work that is told
    /// that this failed gives the error back: it is run again where there is a way back.
    fn retract(connection: &mut Self::Connection)
    -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes `key` for the running work, or answers false where there is a row of it. Where another transaction has taken
    /// it, that one's end is waited for.
    fn claim(
        connection: &mut Self::Connection,
        key: &Key,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// The row of `key`.
    fn find(
        connection: &mut Self::Connection,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send;

    /// Writes the row of `key`, which the running work has claimed.
    fn settle(
        connection: &mut Self::Connection,
        key: &Key,
        row: &Row,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Removes what is older than `keep` from now on, little by little, as long as the store is open: the rows of sagas
    /// that began before ([`Key::began`]), and those that requests left before. The row of a saga that does not tell when
    /// it began stays.
    fn forget(&self, clock: &Clock, keep: Keep);
}

/// A row of the inbox, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of the request; none on a tombstone, whose writer has not seen the call's request.
    pub fingerprint: Option<Fingerprint>,
    /// What the row says.
    pub held: Held,
    /// Of the delivery that wrote the row.
    pub trace_id: String,
    /// When it was written.
    pub at: Timestamp,
}

/// What a row of the inbox says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The call took effect; its encoded response.
    Done(Bytes),
    /// The business declined the call.
    Declined(Decline),
    /// The undo came first: the call is refused for ever.
    Tombstone,
    /// The undo took effect; its encoded response.
    Undone(Bytes),
    /// The undo found nothing to undo.
    Nothing,
}

/// [`Held`] as columns of the inbox's table, the same in every dialect.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// One of the five words that the table allows.
    pub kind: &'a str,
    /// The encoded response.
    pub answer: Option<&'a [u8]>,
    /// A decline's reason.
    pub reason: Option<&'a str>,
    /// A decline's message.
    pub message: Option<&'a str>,
}

impl Held {
    /// The columns that say this.
    #[must_use]
    pub fn columns(&self) -> Columns<'_> {
        let bare = |kind| Columns { kind, answer: None, reason: None, message: None };
        match self {
            Self::Done(response) => Columns { answer: Some(response), ..bare("done") },
            Self::Declined(Decline { reason, message }) => {
                Columns { reason: Some(reason), message: Some(message), ..bare("declined") }
            }
            Self::Tombstone => bare("tombstone"),
            Self::Undone(response) => Columns { answer: Some(response), ..bare("undone") },
            Self::Nothing => bare("nothing"),
        }
    }

    /// What `columns` say; `None` when no inbox wrote them.
    #[must_use]
    pub fn of_columns(columns: Columns<'_>) -> Option<Self> {
        let response = || columns.answer.map(Bytes::copy_from_slice);
        match columns.kind {
            "done" => response().map(Self::Done),
            "declined" => Some(Self::Declined(Decline::new(columns.reason?, columns.message?))),
            "tombstone" => Some(Self::Tombstone),
            "undone" => response().map(Self::Undone),
            "nothing" => Some(Self::Nothing),
            _ => None,
        }
    }
}

/// Why a store did not do what it was asked.
///
/// Cheap to clone, since one failed commit is the answer to everybody who was in it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database was closed before the work began: nothing of it happened.
    #[error("the database is closed")]
    Closed,
    /// The writer ended without an answer: whether the work was committed is unknown.
    #[error("the database's writer ended before it answered; whether it wrote is unknown")]
    Unanswered,
    /// The work panicked; nothing of it was kept.
    #[error("the work on the database panicked: {0}")]
    Panicked(String),
    /// A statement failed before the commit: nothing of the transaction was kept.
    #[error("a statement on the database failed")]
    Statement(#[source] Cause),
    /// The commit failed: whether the transaction was kept is unknown until the key is asked again.
    #[error("the commit failed; whether it was kept is unknown")]
    Commit(#[source] Cause),
    /// A value that is not of the type that its column has.
    #[error("column {column} of a row does not hold what it should")]
    Mistyped {
        /// Counted from 0.
        column: usize,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// A row that no version of the inbox writes.
    #[error("the inbox's row {key} makes no sense: {what}")]
    Unreadable {
        /// The row's key.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a database says of its failure.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

impl Error {
    /// `cause` as the failure of a statement before the commit.
    #[must_use]
    pub fn statement(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Statement(Arc::new(cause))
    }

    /// This failure, of a statement, as one of the commit.
    #[must_use]
    pub(crate) fn into_commit(self) -> Self {
        match self {
            Self::Statement(cause) => Self::Commit(cause),
            other => other,
        }
    }
}
