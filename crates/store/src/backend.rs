//! What a database has to do to stand below [`Database`](crate::Database) and [`Connection`].
//!
//! Statements are run on the thread that has the connection. SQLite has one such thread that writes and a few that read; a
//! database on the network has one for each connection of its pool, which waits there for each answer. So nothing of a
//! transaction is a future that somebody could drop half way.
//!
//! What the statements above rely on, whichever database it is: each sees what was committed before it began (in Postgres'
//! words, `read committed`); texts are in the order of their bytes (collation `C`), since ids and keys are read by ranges
//! and rows are locked in the order that our own sorts give.

use std::{fmt, ops::ControlFlow, sync::Arc};

use clock::Timestamp;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::{
    Connection, Dialect, Error, Value,
    job::Job,
    measures::{Load, Measured},
    stamp::Ledger,
};

/// An open database.
pub(crate) trait Backend: fmt::Debug + Send + Sync {
    /// Takes a job over; completes when it is handed over. The job runs in a transaction and is acknowledged after its
    /// commit, whatever becomes of its caller. One that fails for another transaction is run again for some time.
    fn write(&self, job: Box<dyn Job>) -> BoxFuture<'_, Result<(), Error>>;

    /// Runs `work` on a connection that sees what is committed at one moment, and that refuses to write.
    fn read(&self, lane: Lane, work: ReadJob) -> BoxFuture<'_, Result<(), Error>>;

    /// How many transactions were committed.
    fn commits(&self) -> u64;

    /// Why the last transaction that had something to write was not committed; none where it was.
    fn failing(&self) -> watch::Receiver<Option<Error>>;

    /// How far it has come, and what it notes of the databases that it belongs with.
    fn ledger(&self) -> &Arc<Ledger>;

    /// See [`Database::accept`](crate::Database::accept).
    fn accept(&self);

    /// See [`Database::removal_from`](crate::Database::removal_from).
    fn removal_from(&self) -> Timestamp;

    /// See [`Database::log_bytes`](crate::Database::log_bytes).
    fn log_bytes(&self) -> u64;

    /// The name of what it is, as a label: `sqlite`.
    fn kind(&self) -> &'static str;

    /// How many migrations its own schema has had.
    fn schema_version(&self) -> usize;

    /// How much it has to do at the moment.
    fn load(&self) -> Load;

    /// What is measured of it.
    fn measured(&self) -> &Measured;

    /// Takes no more work, and goes on to finish what was handed over.
    fn close(&self);

    /// Closes when everything is finished and the database is let go.
    fn ended(&self) -> watch::Receiver<()>;
}

/// Which connections a read runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those of calls and sagas.
    Work,
    /// Those of people's lists, which may take long.
    Lists,
}

/// A read, which keeps its result for its caller.
pub(crate) type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// A connection inside a transaction.
pub(crate) trait Session: fmt::Debug + Send {
    fn dialect(&self) -> Dialect;

    /// Runs a statement that gives no rows, and tells how many it has changed. Each text is prepared once and kept.
    /// Parameters stand in it as `?1`, `?2`, …; where the database writes them otherwise, that is done when it is prepared.
    /// Values are bound as the types that the statement has there.
    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<usize, Error>;

    /// Gives the rows to `each` until there are no more or it breaks off. It may run other statements meanwhile.
    fn query(
        &self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Columns) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    fn prepare(&self, statement: &str) -> Result<Box<dyn Statement + '_>, Error>;

    /// See [`Connection::lock`].
    fn lock(&self, name: &str) -> Result<(), Error>;

    /// Writes something to the disk that changes nothing.
    fn probe(&self) -> Result<(), Error>;

    /// A piece of work begins here.
    fn begin_work(&self);

    /// See [`Connection::has_changed`].
    fn has_changed(&self) -> bool;

    /// See [`Connection::roll_back`].
    fn roll_back(&self) -> Result<(), Error>;
}

/// A prepared statement that gives no rows.
pub(crate) trait Statement {
    fn execute(&mut self, values: &[Value<'_>]) -> Result<usize, Error>;
}

/// A row. An error says what a column is instead, as a noun with its article.
pub(crate) trait Columns {
    fn value(&self, column: usize) -> Result<Value<'_>, &'static str>;

    /// The bytes of a blob, or of a text, of whatever bytes that consists.
    fn bytes(&self, column: usize) -> Result<&[u8], &'static str>;
}
