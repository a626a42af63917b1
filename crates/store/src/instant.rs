//! Instants as columns hold them: whole milliseconds since the Unix epoch.

use clock::Timestamp;

use crate::{Error, Row};

/// An instant for an integer column.
#[must_use]
pub fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

impl Row<'_> {
    /// The instant in a column, counted from 0; `None` where it is before the epoch, which no clock of ours has shown.
    ///
    /// # Errors
    /// [`Error::Mistyped`].
    pub fn instant(&self, column: usize) -> Result<Option<Timestamp>, Error> {
        Ok(u64::try_from(self.get::<i64>(column)?).ok().map(Timestamp))
    }
}
