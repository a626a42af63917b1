//! SQLite in a folder of its own, with a table of effects, and one whose violated rule only the commit notices.

use clock::Clock;
use store::{
    Connection, Database, Error,
    sqlite::{self, Schema},
};
use tempfile::TempDir;

const SCHEMA: Schema = Schema::own(&[(
    "effects",
    "create table effect (label text not null, plain);
    create table parent (id integer primary key);
    create table child (parent_id integer references parent (id) deferrable initially deferred);",
)]);

/// Closed by itself when it is dropped, its folder removed.
pub(crate) struct Sqlite {
    pub(crate) database: Database,
    _folder: TempDir,
}

impl Sqlite {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = sqlite::open(folder.path().join("bench.db"), &[SCHEMA], &Clock::system())
            .await
            .unwrap();
        Self { database, _folder: folder }
    }

    pub(crate) fn add(connection: &Connection, label: &str) -> Result<(), Error> {
        connection.execute("insert into effect (label) values (?1)", [label]).map(drop)
    }

    pub(crate) async fn count(&self, label: &str) -> i64 {
        let label = label.to_owned();
        let counted = self.database.read(move |connection| {
            let count = "select count(*) from effect where label = ?1";
            connection.one(count, [label], |row| row.get::<i64>(0))
        });
        let counted: Result<i64, Error> = counted.await;
        counted.unwrap()
    }
}
