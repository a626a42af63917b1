//! The inbox's table in SQLite.

use std::path::Path;

use clock::Clock;
use store::{
    Database,
    sqlite::{self, Schema},
};

/// The inbox's table, for [`sqlite::open()`].
pub const SCHEMA: Schema = Schema {
    table: "_inbox_migrations",
    migrations: &[("inbox", include_str!("../migrations/sqlite/0001_inbox.sql"))],
};

/// Opens or creates a service's database in the file `path`, with its own schema and the inbox's. `clock` dates its
/// transactions.
///
/// # Errors
/// See [`sqlite::open::Error`]: each is one sentence with its cure.
pub async fn open(
    path: impl AsRef<Path>,
    own: &'static [(&'static str, &'static str)],
    clock: &Clock,
) -> Result<Database, sqlite::open::Error> {
    sqlite::open(path, &[SCHEMA, Schema::own(own)], clock).await
}
