//! The files of a database: who may read them, who may open them, and how large its log grows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clock::{Clock, Timestamp};
use sqlx::{Connection, SqliteConnection};
use store::{
    Database, Error,
    sqlite::{self, Schema},
};

const SCHEMAS: &[Schema] = &[Schema::own(&[("blobs", "create table blob (bytes blob not null)")])];

const LIMIT: u64 = 64 << 20;

async fn open(path: &Path) -> Database {
    sqlite::open(path, SCHEMAS, &Clock::system()).await.unwrap()
}

async fn write(database: &Database, bytes: usize) {
    let written = database.write(move |connection| {
        connection.execute("insert into blob (bytes) values (?1)", [vec![7_u8; bytes]])?;
        Ok::<_, Error>(())
    });
    written.await.unwrap();
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(format!("db{ending}"))
}

fn assert_private(path: &Path) {
    for ending in ["", "-wal", "-shm", ".lock"] {
        let file = beside(path, ending);
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}: {mode:o}", file.display());
    }
}

#[tokio::test]
async fn the_files_are_their_users_alone_also_where_they_were_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let database = open(&path).await;
    write(&database, 1).await;
    assert_private(&path);
    database.close().await;
    for ending in ["", ".lock"] {
        fs::set_permissions(beside(&path, ending), Permissions::from_mode(0o644)).unwrap();
    }
    let database = open(&path).await;
    write(&database, 1).await;
    assert_private(&path);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_lock_file_that_was_removed_by_hand_lets_nobody_else_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let database = open(&path).await;
    fs::remove_file(beside(&path, ".lock")).unwrap();
    for _ in 0..2 {
        let refused = sqlite::open(&path, SCHEMAS, &Clock::system()).await.unwrap_err();
        assert!(matches!(refused, sqlite::open::Error::InUse { .. }), "{refused:?}");
    }
    write(&database, 1).await;
    database.close().await;
    open(&path).await;
}

#[tokio::test]
async fn a_log_that_a_reader_keeps_long_is_cut_when_the_reader_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let (clock, time) = Clock::manual(Timestamp(1_000_000));
    let database = sqlite::open(&path, SCHEMAS, &clock).await.unwrap();
    write(&database, 1).await;

    let mut shell = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let reading = "begin; select count(*) from blob";
    sqlx::raw_sql(reading).execute(&mut shell).await.unwrap();
    while database.log_bytes() <= LIMIT {
        write(&database, 4 << 20).await;
    }
    // Who reads does not keep the writer waiting.
    write(&database, 1).await;
    sqlx::raw_sql("rollback").execute(&mut shell).await.unwrap();
    shell.close().await.unwrap();

    time.advance(Duration::from_secs(1));
    for _ in 0..32 {
        write(&database, 1).await;
    }
    assert!(database.log_bytes() < LIMIT / 8, "{}", database.log_bytes());
}
