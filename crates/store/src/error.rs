//! Why a database did not do what it was asked, whichever it is.

use std::sync::Arc;

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
    Statement(#[source] SharedError),
    /// A row with this key is there already: nothing of the transaction was kept.
    #[error("a row with this key is there already")]
    Taken(#[source] SharedError),
    /// Another transaction was in the way for too long, or the two failed for each other: nothing of this one was kept, and
    /// the same work can be run again. The database has tried that for some time.
    #[error("another transaction on the database was in the way")]
    Conflict(#[source] SharedError),
    /// A statement found nothing where there must be a row.
    #[error("a statement on the database found no row where there must be one")]
    NoRow,
    /// The commit failed: whether the transaction was kept is unknown until the key is asked again.
    #[error("the commit failed; whether it was kept is unknown")]
    Commit(#[source] SharedError),
    /// A value that is not of the type that its column has.
    #[error("column {column} of a row is {found} and should be {wanted}")]
    Mistyped {
        /// Counted from 0.
        column: usize,
        /// What it is, as a noun with its article.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A row that no version of this program writes.
    #[error("the row {key} makes no sense: {what}")]
    Unreadable {
        /// The row's key.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// What a database says of its failure, told to everybody who was in the transaction.
pub type SharedError = Arc<dyn std::error::Error + Send + Sync>;

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
