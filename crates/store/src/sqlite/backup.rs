//! Copies of several databases as they all were at one moment, while others go on writing to them.
//!
//! What makes the moment is SQLite's own lock on writing, taken on each of them: while all are held nobody commits
//! anywhere. Then a read is begun on each, which goes on seeing that moment; the locks are let go after some milliseconds,
//! and the copies are made from the reads. So it needs nothing of the processes that have the databases open, and it works
//! where there is none.
//!
//! Everything here waits for the disk: not for a thread that has other work.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{
    Connection as Sqlite, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{session, stamps};
use crate::stamp::Found;

/// How long the lock of one database is waited for, while those before it are held: a writer gives up after five seconds.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// How often it is tried to have all of them.
const ATTEMPTS: u32 = 20;

const PRIVATE: u32 = 0o600;

/// Why databases were not copied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no database {path}: name the data folder of the mesh")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Somebody wrote for too long.
    #[error("the databases were never all free to be read at one moment: try again")]
    Busy,
    /// The copy cannot be written.
    #[error("cannot write {path}")]
    NotWritable {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The check of a database has found something.
    #[error("the database {path} is damaged ({finding})")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the check says first.
        finding: String,
    },
    /// Its stamp cannot be read.
    #[error("the database {path} does not say which it is: it was not written by this program")]
    Stamp {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::Error,
    },
    /// Anything else that SQLite says.
    #[error("the database {path} could not be read")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite::Error,
    },
}

/// A database as it was at the moment.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    /// In a transaction that reads.
    reading: Sqlite,
}

/// All these databases as they are at one moment.
///
/// # Errors
/// See [`Error`].
pub fn snapshots(paths: &[PathBuf]) -> Result<Vec<Snapshot>, Error> {
    for path in paths {
        if !path.is_file() {
            return Err(Error::Missing { path: path.clone() });
        }
    }
    for _ in 0..ATTEMPTS {
        if let Some(snapshots) = attempt(paths)? {
            return Ok(snapshots);
        }
    }
    Err(Error::Busy)
}

/// None where somebody writes for too long.
fn attempt(paths: &[PathBuf]) -> Result<Option<Vec<Snapshot>>, Error> {
    let mut locks = Vec::with_capacity(paths.len());
    for path in paths {
        let failed = |source| Error::Sqlite { path: path.clone(), source };
        let lock = open(path)?;
        match lock.execute_batch("begin immediate") {
            Ok(()) => locks.push(lock),
            Err(error) if is_busy(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
    }
    let mut snapshots = Vec::with_capacity(paths.len());
    for path in paths {
        let failed = |source| Error::Sqlite { path: path.clone(), source };
        let reading = open(path)?;
        reading.execute_batch("begin").map_err(failed)?;
        // The moment is that of the first read.
        reading.query_row("select count(*) from sqlite_schema", (), |_| Ok(())).map_err(failed)?;
        snapshots.push(Snapshot { path: path.clone(), reading });
    }
    // Dropped, they are let go.
    drop(locks);
    Ok(Some(snapshots))
}

fn open(path: &Path) -> Result<Sqlite, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Sqlite::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(LOCK_TIMEOUT)?;
        Ok(connection)
    });
    opened.map_err(|source| Error::Sqlite { path: path.to_owned(), source })
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    error.sqlite_error_code().is_some_and(|code| matches!(code, DatabaseBusy | DatabaseLocked))
}

impl Snapshot {
    /// Writes it to the new file `to`, for this user alone, and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Sqlite`].
    pub fn copy_to(&self, to: &Path) -> Result<(), Error> {
        let failed = |source| Error::Sqlite { path: self.path.clone(), source };
        let unwritable = |source| Error::NotWritable { path: to.to_owned(), source };
        let mut options = OpenOptions::new();
        drop(options.create_new(true).write(true).mode(PRIVATE).open(to).map_err(unwritable)?);
        let mut copy = open(to)?;
        let backup = Backup::new(&self.reading, &mut copy).map_err(failed)?;
        // All of it: what is read is one moment however long it takes.
        let StepResult::Done = backup.step(-1).map_err(failed)? else { return Err(Error::Busy) };
        drop(backup);
        copy.close().map_err(|(_, source)| failed(source))?;
        File::open(to).and_then(|file| file.sync_all()).map_err(unwritable)
    }
}

/// Checks a database that nobody has open, through and through, and gives what it says of itself.
///
/// # Errors
/// See [`Error`].
pub fn inspect(path: &Path) -> Result<Found, Error> {
    if !fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        return Err(Error::Missing { path: path.to_owned() });
    }
    let connection = open(path)?;
    let damaged = |finding| Error::Damaged { path: path.to_owned(), finding };
    let finding = connection
        .query_row("pragma integrity_check(1)", (), |row| row.get::<_, String>(0))
        .map_err(|error| damaged(error.to_string()))?;
    if finding != "ok" {
        return Err(damaged(finding));
    }
    drop(connection);
    let stamp = |source| Error::Stamp { path: path.to_owned(), source };
    let connection = session::connect(path, "").map_err(stamp)?;
    stamps::read(&connection, path).map(|(found, _)| found).map_err(stamp)
}
