//! All that is written in a mesh's databases, to tell whether a call has written anything.

use std::{collections::BTreeMap, path::Path};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

/// Without what a database notes of the others when nobody calls it.
const TABLES: &str = "
    select name from sqlite_master where type = 'table' and name <> '_stamp' order by name";

/// Every row of every table of every SQLite file, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeMap<String, Vec<String>>);

impl Snapshot {
    pub(crate) async fn of(data: &Path) -> Self {
        let mut tables = BTreeMap::new();
        let mut files = 0;
        for file in std::fs::read_dir(data).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "db") {
                files += 1;
                read(&path, &mut tables).await;
            }
        }
        assert_eq!(files, 5, "a database is missing");
        Self(tables)
    }

    /// Fails where `later` differs, and says in which tables and by what.
    pub(crate) fn assert_same(&self, later: &Self) {
        let mut changed = Vec::new();
        for (table, rows) in &later.0 {
            let before = self.0.get(table).map(Vec::as_slice).unwrap_or_default();
            let new: Vec<&String> =
                rows.iter().filter(|row| !before.contains(row)).take(5).collect();
            if before != rows.as_slice() {
                changed.push(format!(
                    "{table}: {} rows, now {}: {new:?}",
                    before.len(),
                    rows.len()
                ));
            }
        }
        assert!(changed.is_empty(), "something was written: {changed:#?}");
        assert_eq!(self, later);
    }
}

async fn read(path: &Path, tables: &mut BTreeMap<String, Vec<String>>) {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    // One transaction, so that the tables fit each other.
    let mut reading = connection.begin().await.unwrap();
    let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut *reading).await.unwrap();
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    for table in names {
        let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut *reading)
            .await
            .unwrap();
        let quoted: Vec<String> = columns.iter().map(|name| format!("quote(\"{name}\")")).collect();
        let query = format!("select {} from \"{table}\" order by 1", quoted.join(" || ',' || "));
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut *reading).await.unwrap();
        let rows = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        tables.insert(format!("{file}.{table}"), rows);
    }
    reading.rollback().await.unwrap();
    connection.close().await.unwrap();
}
