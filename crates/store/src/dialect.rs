//! What differs between databases in the text of a statement.

/// How statements are written where the databases have nothing in common. All others have one text for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
}

impl Dialect {
    /// What follows a table's name for it to be read by this index alone. For a database that keeps no statistics of its
    /// tables and would guess; nothing where one does.
    #[must_use]
    pub fn indexed_by(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" indexed by {index}"),
        }
    }
}
