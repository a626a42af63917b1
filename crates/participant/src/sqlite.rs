//! The inbox in an SQLite database.

mod forget;
mod rows;

use std::path::Path;

use clock::Clock;
use store::{
    Error,
    retention::{self, Keep},
    sqlite::{Connection, Database, Schema, open},
};

use crate::{
    key::Key,
    table::{InboxStore, Row},
};

/// The inbox's table, for [`Database::open`].
pub const SCHEMA: Schema = Schema {
    table: "_inbox_migrations",
    migrations: &[("inbox", include_str!("../migrations/sqlite/0001_inbox.sql"))],
};

/// Opens or creates a service's database in the file `path`, with its own schema and the inbox's.
///
/// # Errors
/// See [`open::Error`]: each is one sentence with its cure.
pub async fn open(
    path: impl AsRef<Path>,
    own: &'static [(&'static str, &'static str)],
) -> Result<Database, open::Error> {
    Database::open(path, &[SCHEMA, Schema::own(own)]).await
}

impl InboxStore for Database {
    async fn claim(connection: &mut Connection, key: &Key) -> Result<bool, Error> {
        rows::claim(connection, key)
    }

    async fn find(connection: &mut Connection, key: &Key) -> Result<Option<Row>, Error> {
        rows::find(connection, key)
    }

    async fn settle(connection: &mut Connection, key: &Key, row: &Row) -> Result<(), Error> {
        rows::settle(connection, key, row)
    }

    fn forget(&self, clock: &Clock, keep: Keep) {
        // Nobody's database stays open for this.
        let mut database = self.downgrade();
        let (clock, rows) = (clock.clone(), forget::Rows::of(database.clone()));
        tokio::spawn(async move {
            tokio::select! {
                () = retention::run(clock, keep, rows) => {}
                () = database.closed() => {}
            }
        });
    }
}
