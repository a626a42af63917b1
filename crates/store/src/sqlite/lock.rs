//! Who may open a database's file: one process, and of its users only its own.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{open::Error, witness::Witness};

/// Read and written by its user, and by nobody else. SQLite gives its log the mode of the database.
const PRIVATE: u32 = 0o600;

/// Refuses every other process as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    /// Beside the database, and left behind when it is closed: removing it would let two processes lock two files.
    beside: Arc<File>,
    /// The database itself, whose lock nobody can remove by hand. It is let go after SQLite's connections: the locks that
    /// they have on the file go when any of the process's handles on it is closed.
    _itself: File,
}

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let beside = beside(path, ".lock");
        let in_use = || Error::InUse { path: path.to_owned() };
        let lock = |file: &File, name: &Path| {
            file.try_lock().map_err(|cause| match cause {
                TryLockError::WouldBlock => in_use(),
                TryLockError::Error(source) => Error::Lock { path: name.to_owned(), source },
            })
        };
        let locked = open(&beside)?;
        lock(&locked, &beside)?;
        // SQLite opens what it cannot write for reading, and fails only at the first write: this tells.
        let itself = open(path)?;
        // Elsewhere such a lock and SQLite's own would be in each other's way.
        if cfg!(target_os = "linux") {
            lock(&itself, path)?;
        }
        for file in [&beside, path, &self::beside(path, "-wal"), &self::beside(path, "-shm")] {
            make_private(file);
        }
        Ok(Self { beside: Arc::new(locked), _itself: itself })
    }

    /// What is written into the file beside the database.
    pub(super) fn witness(&self) -> Witness {
        Witness::of(Arc::clone(&self.beside))
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(PRIVATE);
    options.open(path).map_err(|source| Error::NotWritable { path: path.to_owned(), source })
}

/// Takes the file from other users, where an earlier version has let them read it.
fn make_private(path: &Path) {
    let Ok(file) = fs::metadata(path) else { return };
    let mode = file.permissions().mode() & 0o777;
    if mode & !PRIVATE == 0 {
        return;
    }
    if let Err(error) = fs::set_permissions(path, Permissions::from_mode(PRIVATE)) {
        let (mode, error) = (format!("{mode:o}"), &error as &dyn std::error::Error);
        tracing::warn!(
            error,
            file = %path.display(),
            mode,
            "other users can read the database, and it cannot be taken from them; give the file to this user"
        );
    }
}
