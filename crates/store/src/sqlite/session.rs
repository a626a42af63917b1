//! A connection to SQLite's file.

use std::{
    cell::Cell,
    ops::ControlFlow,
    path::Path,
    str,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::{
    CachedStatement, ErrorCode, OpenFlags, ffi, params_from_iter,
    types::{ToSql, ToSqlOutput, ValueRef},
};

use crate::{
    Connection, Dialect, Error, Value,
    backend::{Columns, Session, Statement},
    value::NULL,
};

/// The writer is alone, so only a reader's checkpoint or an operator's shell can be in its way.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Statements that stay prepared; a service has fewer.
const STATEMENT_CACHE: usize = 128;

/// After how many steps of SQLite's machine a statement looks whether it is to stop: some microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// Opens the file, which must be there. `pragmas` hold for this connection alone.
pub(super) fn connect(path: &Path, pragmas: &str) -> Result<Connection, Error> {
    open(path, pragmas).map(on)
}

/// The same, with a flag: while it is set, every statement stops with an error. SQLite's own interrupt would stop one that
/// runs, and none that begins a moment later.
pub(super) fn stoppable(
    path: &Path,
    pragmas: &str,
) -> Result<(Connection, Arc<AtomicBool>), Error> {
    let (sqlite, stop) = (open(path, pragmas)?, Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let is_stopped = move || stopped.load(Ordering::Relaxed);
    sqlite.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_stopped))?;
    Ok((on(sqlite), stop))
}

fn open(path: &Path, pragmas: &str) -> Result<rusqlite::Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = rusqlite::Connection::open_with_flags(path, flags)?;
    sqlite.busy_timeout(BUSY_TIMEOUT)?;
    sqlite.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    sqlite.execute_batch(pragmas)?;
    Ok(sqlite)
}

fn on(sqlite: rusqlite::Connection) -> Connection {
    Connection::on(Sqlite { sqlite, before: Cell::default(), probed: Cell::default() })
}

#[derive(Debug)]
struct Sqlite {
    sqlite: rusqlite::Connection,
    /// How many rows had been changed when the running work began.
    before: Cell<u64>,
    /// The running work has written without changing a row.
    probed: Cell<bool>,
}

impl Session for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<usize, Error> {
        Statement::execute(&mut self.sqlite.prepare_cached(statement)?, values)
    }

    fn query(
        &self,
        statement: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Columns) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut statement = self.sqlite.prepare_cached(statement)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if each(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn prepare(&self, statement: &str) -> Result<Box<dyn Statement + '_>, Error> {
        Ok(Box::new(self.sqlite.prepare_cached(statement)?))
    }

    /// There is one writer, and readers take nothing.
    fn lock(&self, _name: &str) -> Result<(), Error> {
        Ok(())
    }

    /// The version is nobody's here, and written also where it stays the same.
    fn probe(&self) -> Result<(), Error> {
        self.probed.set(true);
        self.execute("pragma user_version = 0", &[]).map(drop)
    }

    fn begin_work(&self) {
        self.before.set(self.sqlite.total_changes());
        self.probed.set(false);
    }

    /// SQLite ends a transaction by itself when, say, the disk is full.
    fn has_changed(&self) -> bool {
        self.sqlite.total_changes() != self.before.get()
            || self.probed.get()
            || self.sqlite.is_autocommit()
    }

    /// Without a savepoint SQLite refuses this, so that the work fails and is run again with one.
    fn roll_back(&self) -> Result<(), Error> {
        match self.has_changed() {
            true => self.execute("rollback to job", &[]).map(drop),
            false => Ok(()),
        }
    }
}

impl Statement for CachedStatement<'_> {
    fn execute(&mut self, values: &[Value<'_>]) -> Result<usize, Error> {
        Ok(rusqlite::Statement::execute(self, params_from_iter(values))?)
    }
}

impl Columns for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, &'static str> {
        match self.get_ref(column).map_err(|_| "missing")? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Real(_) => Err("a number with a fraction"),
            ValueRef::Text(text) => {
                str::from_utf8(text).map(Value::Text).map_err(|_| "a text that is not UTF-8")
            }
            ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes)),
        }
    }

    fn bytes(&self, column: usize) -> Result<&[u8], &'static str> {
        match self.get_ref(column).map_err(|_| "missing")? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Ok(bytes),
            ValueRef::Null => Err(NULL),
            ValueRef::Integer(_) | ValueRef::Real(_) => Err("a number"),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Boolean(value) => ValueRef::Integer(i64::from(*value)),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        let error = cause.sqlite_error().copied();
        let shared = Arc::new(cause);
        match error {
            Some(ffi::Error {
                code: ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, ..
            }) => Self::Conflict(shared),
            Some(ffi::Error {
                extended_code: ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_UNIQUE,
                ..
            }) => Self::Taken(shared),
            _ => Self::Statement(shared),
        }
    }
}
