//! A connection, and the few ways in which statements run on it.

use std::{cell::Cell, fmt, path::Path, sync::Arc, time::Duration};

use rusqlite::{CachedStatement, OpenFlags, Params, ffi, types::FromSql};

use crate::Error;

/// The writer is alone, so only a reader's checkpoint or an operator's shell can be in its way.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that stay prepared; a service has fewer.
const STATEMENT_CACHE: usize = 128;

/// A connection inside a transaction.
///
/// A statement runs on the thread that calls, which is one of the database's own, so that a transaction of many
/// statements is handed from thread to thread once and not with each of them. Each text is prepared once and kept.
#[derive(Debug)]
pub struct Connection {
    sqlite: rusqlite::Connection,
    /// How many rows had been changed when the running job began.
    before: Cell<u64>,
}

impl Connection {
    /// Opens the file, which must be there. `pragmas` hold for this connection alone.
    pub(super) fn open(path: &Path, pragmas: &str) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let sqlite = rusqlite::Connection::open_with_flags(path, flags)?;
        sqlite.busy_timeout(BUSY_TIMEOUT)?;
        sqlite.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        sqlite.execute_batch(pragmas)?;
        Ok(Self { sqlite, before: Cell::default() })
    }

    /// A job begins here.
    pub(super) fn begin_job(&self) {
        self.before.set(self.sqlite.total_changes());
    }

    /// Whether the job that runs has changed nothing so far, and its transaction is still there: SQLite ends one by
    /// itself when, say, the disk is full.
    pub(super) fn is_untouched(&self) -> bool {
        !self.has_changed() && !self.sqlite.is_autocommit()
    }

    /// Whether the work that runs on this connection has changed a row since it began, also one that it has changed back.
    /// Work that is refused after that takes the rest of its transaction with it, which is then run again.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.sqlite.total_changes() != self.before.get()
    }

    /// Runs a statement that gives no rows, and tells how many it has changed. Parameters are `?1`, `?2`, …
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn execute(&self, statement: &str, values: impl Params) -> Result<usize, Error> {
        Ok(self.prepared(statement)?.execute(values)?)
    }

    /// A statement that is run more than once in a row, and looked for among those that are prepared once for all.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn prepare(&self, statement: &str) -> Result<Prepared<'_>, Error> {
        self.prepared(statement).map(Prepared)
    }

    /// The first row, as `read` takes it. There must be one.
    ///
    /// # Errors
    /// [`Error::Statement`], also where there is none; what `read` says.
    pub fn one<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let missing = || Error::from(rusqlite::Error::QueryReturnedNoRows).into();
        self.optional(statement, values, read)?.ok_or_else(missing)
    }

    /// The first row, where there is one.
    ///
    /// # Errors
    /// [`Error::Statement`]; what `read` says.
    pub fn optional<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut statement = self.prepared(statement)?;
        let mut rows = statement.query(values).map_err(Error::from)?;
        let row = rows.next().map_err(Error::from)?;
        row.map(|row| read(&Row(row))).transpose()
    }

    /// All rows.
    ///
    /// # Errors
    /// [`Error::Statement`]; what `read` says.
    pub fn all<T, E: From<Error>>(
        &self,
        statement: &str,
        values: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let mut statement = self.prepared(statement)?;
        let mut rows = statement.query(values).map_err(Error::from)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(Error::from)? {
            all.push(read(&Row(row))?);
        }
        Ok(all)
    }

    fn prepared(&self, statement: &str) -> Result<CachedStatement<'_>, Error> {
        Ok(self.sqlite.prepare_cached(statement)?)
    }
}

/// A prepared statement that gives no rows.
pub struct Prepared<'c>(CachedStatement<'c>);

impl fmt::Debug for Prepared<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Prepared")
    }
}

impl Prepared<'_> {
    /// Runs it with these parameters, and tells how many rows it has changed.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub fn execute(&mut self, values: impl Params) -> Result<usize, Error> {
        Ok(self.0.execute(values)?)
    }
}

/// A row that a statement gives.
#[derive(Debug)]
pub struct Row<'r>(&'r rusqlite::Row<'r>);

impl Row<'_> {
    /// The value of a column, counted from 0.
    ///
    /// # Errors
    /// [`Error::Mistyped`].
    pub fn get<T: FromSql>(&self, column: usize) -> Result<T, Error> {
        self.0.get(column).map_err(|cause| Error::Mistyped { column, cause: Arc::new(cause) })
    }

    /// The bytes of a blob, or of a text: what was meddled with in SQL is often a text afterwards, and its reader is to
    /// judge by the bytes.
    ///
    /// # Errors
    /// [`Error::Mistyped`].
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, Error> {
        let value = self.0.get_ref(column)?;
        let mistyped = |cause| Error::Mistyped { column, cause: Arc::new(cause) };
        value.as_bytes().map(<[u8]>::to_vec).map_err(mistyped)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        Self::statement(cause)
    }
}

/// Whether a statement failed because a row with its key is there.
#[must_use]
pub fn is_taken(error: &Error) -> bool {
    let Error::Statement(cause) = error else { return false };
    let cause = cause.downcast_ref().and_then(rusqlite::Error::sqlite_error);
    cause.is_some_and(|cause| {
        matches!(
            cause.extended_code,
            ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE
        )
    })
}
