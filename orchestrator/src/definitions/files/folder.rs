//! What the file system says of the files of a folder.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use definition::load;

/// What a file is, as far as can be told without reading it: two that are the same have the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Part of the program.
    BuiltIn,
    /// Of the file that its links lead to. Whoever writes to a file, or puts another in its place, changes one of these.
    File { device: u64, inode: u64, size: u64, modified: (i64, i64), changed: (i64, i64) },
    /// It cannot be looked at.
    Unreadable(io::ErrorKind),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(|error| Self::Unreadable(error.kind()), |file| file.into())
    }
}

impl From<Metadata> for Stamp {
    fn from(file: Metadata) -> Self {
        Self::File {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The definition files of the folder, `max` at most, each with what it is.
///
/// # Errors
/// When the folder cannot be listed.
pub(super) fn list(folder: &Path, max: usize) -> io::Result<BTreeMap<PathBuf, Stamp>> {
    let files = load::files(folder, max)?;
    Ok(files.into_iter().map(|path| (path.clone(), Stamp::of(&path))).collect())
}
