//! Opening a database file: everything that can be wrong with it is found here, said in one sentence with its
//! cure, before anything is changed.

use std::{
    io,
    path::{Path, PathBuf},
};

use clock::Clock;
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use crate::sqlite::{
    lock::Lock,
    migration::{self, Schema},
    stamps,
};

/// A larger file is not read through before it is used, in bytes: a start must not take minutes. What is damaged in it is
/// found when it is read.
const FULL_CHECK_MAX_BYTES: u64 = 256 << 20;

// SQLite's primary result codes.
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is missing, or is no folder.
    #[error("there is no folder {folder} for the database: create it, or name another data folder")]
    Folder {
        /// The folder.
        folder: PathBuf,
    },
    /// The path names something that is not a file.
    #[error("{path} is not a file: name another data folder, or move what is there away")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file, or the lock beside it, cannot be written.
    #[error(
        "cannot write {path}: make it and its folder writable for this user, or name another data folder"
    )]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The lock cannot be taken for another reason than somebody holding it.
    #[error("cannot lock {path}: keep the database on a local disk")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody has it open.
    #[error(
        "the database {path} is in use by another process: stop that one, or name another data folder"
    )]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{path} is not an SQLite database: move it away, or name another data folder")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// SQLite finds the file damaged.
    #[error(
        "the database {path} is damaged ({finding}): keep a copy of it and restore the last backup"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What the check says first.
        finding: String,
    },
    /// A later version of the program wrote it.
    #[error(
        "the database {path} was written by a newer version of this program (migration {version} is unknown here): run that version, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The migration that this program lacks.
        version: i64,
    },
    /// Its schema came about by other means than this program's migrations.
    #[error(
        "the database {path} has another schema than this service's (migration {version} differs): it belongs to another service, or was changed by hand; name the right file, or restore a backup"
    )]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The first migration that differs.
        version: i64,
    },
    /// A migration failed; it was rolled back.
    #[error("the schema of the database {path} could not be brought up to date")]
    Migration {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
    /// Its stamp cannot be read.
    #[error(
        "the database {path} does not say which it is: it was changed by hand; restore the last backup"
    )]
    Stamp {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        source: crate::Error,
    },
    /// Anything else that SQLite says.
    #[error("the database {path} could not be opened")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        source: sqlx::Error,
    },
}

pub(super) struct Opened {
    /// Refuses every other process as long as it lives.
    pub(super) lock: Lock,
    /// The file's one true path.
    pub(super) path: PathBuf,
    /// What the file says of itself.
    pub(super) stamps: stamps::Opened,
}

pub(super) async fn open(path: &Path, schemas: &[Schema], clock: &Clock) -> Result<Opened, Error> {
    let path = located(path)?;
    let lock = Lock::take(&path)?;
    let mut connection = connect(&path).await.map_err(|cause| explained(&path, cause))?;
    check(&mut connection, &path).await?;
    let plan = migration::Plan::of(schemas);
    plan.refuse_unknown(&mut connection, &path).await?;
    write_ahead(&mut connection, &path).await?;
    plan.run(&mut connection, &path).await?;
    connection.close().await.map_err(|cause| explained(&path, cause))?;
    let stamps = stamps::open(&path, lock.witness().read(), clock)
        .map_err(|source| Error::Stamp { path: path.clone(), source })?;
    Ok(Opened { lock, path, stamps })
}

/// Two names of one file must meet at one lock.
fn located(path: &Path) -> Result<PathBuf, Error> {
    if let Ok(existing) = path.canonicalize() {
        return if existing.is_file() {
            Ok(existing)
        } else {
            Err(Error::NotAFile { path: existing })
        };
    }
    let Some(name) = path.file_name() else {
        return Err(Error::NotAFile { path: path.to_owned() });
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let found = folder.canonicalize().ok().filter(|found| found.is_dir());
    found.map(|found| found.join(name)).ok_or_else(|| Error::Folder { folder: folder.to_owned() })
}

async fn connect(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await
}

async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), Error> {
    let whole = path.metadata().is_ok_and(|file| file.len() <= FULL_CHECK_MAX_BYTES);
    let check = match whole {
        true => "pragma quick_check(1)",
        false => "select 'ok' from (select count(*) from sqlite_schema)",
    };
    let finding: String = sqlx::query_scalar(check)
        .fetch_one(connection)
        .await
        .map_err(|cause| explained(path, cause))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(Error::Damaged { path: path.to_owned(), finding })
}

/// The file remembers it for every later connection. That is a change of the file, which is why it is no option
/// of the connection: a restored copy that is refused must stay as it is.
async fn write_ahead(connection: &mut SqliteConnection, path: &Path) -> Result<(), Error> {
    let set = sqlx::query("pragma journal_mode = wal").execute(connection).await;
    set.map(drop).map_err(|cause| explained(path, cause))
}

fn explained(path: &Path, cause: sqlx::Error) -> Error {
    let code = cause
        .as_database_error()
        .and_then(|cause| cause.code()?.parse::<i32>().ok())
        // An extended code carries its primary code in the low byte.
        .map(|code| code & 0xff);
    let path = path.to_owned();
    match code {
        Some(NOT_A_DATABASE) => Error::NotADatabase { path },
        Some(CORRUPT) => Error::Damaged { path, finding: cause.to_string() },
        _ => Error::Sqlite { path, source: cause },
    }
}
