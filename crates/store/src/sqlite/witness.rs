//! How far a database had come, written down outside of it: in the lock file beside it.
//!
//! It is written after each commit and not waited for: it is never ahead of the database, whatever the process dies of, and
//! as far as it was where only the process dies. So a file that is exchanged, set back or cut is noticed also where
//! nobody else has noted anything of it, or all were set back together.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use crate::stamp::{Stamp, lines, read_lines};

/// Longer is none of ours.
const MAX_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Witness(Arc<File>);

impl Witness {
    /// In this file, which is open for reading and writing.
    pub(super) fn of(file: Arc<File>) -> Self {
        Self(file)
    }

    /// What was written last; none where there is nothing that makes sense.
    pub(super) fn read(&self) -> Option<Stamp> {
        let mut bytes = [0; MAX_BYTES];
        let read = self.0.read_at(&mut bytes, 0).ok()?;
        let text = str::from_utf8(&bytes[..read]).ok()?;
        // What follows the first line is left of a longer one.
        let (line, _) = text.split_once('\n')?;
        read_lines(line)?.into_iter().next()
    }

    /// A witness that cannot be written tells less, and nothing wrong.
    pub(super) fn write(&self, stamp: Stamp) {
        let _ = self.0.write_all_at(lines([stamp]).as_bytes(), 0);
    }
}
