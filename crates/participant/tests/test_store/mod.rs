//! SQLite in a folder of its own, with a table of effects, and one whose violated rule only the commit notices.

#![expect(clippy::unwrap_used, reason = "a store that cannot be set up fails its test")]

use clock::Clock;
use participant::{WorkError, conformance::TestStore};
use store::{Connection, Database};
use tempfile::TempDir;

const SCHEMA: &[(&str, &str)] = &[(
    "effects",
    "
    create table effect (label text not null);
    create table parent (id integer primary key);
    create table child (parent_id integer references parent (id) deferrable initially deferred);",
)];

/// Closed by itself when it is dropped, its folder removed.
pub(crate) struct Sqlite {
    pub(crate) database: Database,
    _folder: TempDir,
}

impl TestStore for Sqlite {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.db");
        let database = participant::sqlite::open(path, SCHEMA, &Clock::system()).await.unwrap();
        Self { database, _folder: folder }
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn add(connection: &Connection, label: &str) -> Result<(), WorkError> {
        connection.execute("insert into effect (label) values (?1)", [label])?;
        Ok(())
    }

    fn fail_commit(connection: &Connection) -> Result<(), WorkError> {
        connection.execute("insert into child (parent_id) values (1)", ())?;
        Ok(())
    }

    async fn count(&self, label: &str) -> i64 {
        let label = label.to_owned();
        let counted = self.database.read(move |connection| {
            let count = "select count(*) from effect where label = ?1";
            connection.one(count, [label], |row| row.get::<i64>(0))
        });
        let counted: Result<i64, store::Error> = counted.await;
        counted.unwrap()
    }
}
