//! Opening an SQLite database: what is refused, with which sentence, and that a refusal changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use clock::Clock;
use std::{fs, path::Path};

use sqlx::{Connection, SqliteConnection};
use store::{
    Database, Row,
    sqlite::{self, Schema, open::Error},
};
use tempfile::{TempDir, tempdir};

const FIRST: (&str, &str) = ("notes", "create table note (line text not null)");
const SECOND: (&str, &str) = ("marks", "create table mark (line text not null)");

const BOTH: &[Schema] = &[Schema::own(&[FIRST, SECOND])];

fn first() -> &'static [Schema] {
    const { &[Schema::own(&[FIRST])] }
}

/// A database with ten notes, closed again.
async fn noted(folder: &TempDir, schemas: &[Schema]) -> std::path::PathBuf {
    let path = folder.path().join("notes.db");
    let database = sqlite::open(&path, schemas, &Clock::system()).await.unwrap();
    for _ in 0..10 {
        note(&database).await;
    }
    database.close().await;
    path
}

async fn note(database: &Database) {
    let written = database.write(move |connection| {
        connection.execute("insert into note (line) values (?1)", ["x".repeat(2000)])?;
        Ok::<_, store::Error>(())
    });
    written.await.unwrap();
}

async fn notes(database: &Database) -> i64 {
    integer(database, "select count(*) from note").await
}

async fn integer(database: &Database, query: &'static str) -> i64 {
    database.read(|connection| connection.one(query, (), first_integer)).await.unwrap()
}

async fn text(database: &Database, query: &'static str) -> String {
    database.read(|connection| connection.one(query, (), first_text)).await.unwrap()
}

fn first_integer(row: &Row<'_>) -> Result<i64, store::Error> {
    row.get(0)
}

fn first_text(row: &Row<'_>) -> Result<String, store::Error> {
    row.get(0)
}

/// Carries `sql` out behind the library's back.
async fn meddle(path: &Path, sql: &'static str) {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(path: &Path, schemas: &[Schema]) -> Error {
    sqlite::open(path, schemas, &Clock::system()).await.expect_err("the database is refused")
}

/// The refusal of a file that must stay as it is.
async fn refused_untouched(path: &Path, schemas: &[Schema]) -> Error {
    let before = fs::read(path).unwrap();
    let error = refused(path, schemas).await;
    assert!(fs::read(path).unwrap() == before, "the refusal changed the file: {error}");
    error
}

/// The sentence names what is wrong and what to do.
fn assert_says(error: &Error, path: &Path, cure: &str) {
    let said = error.to_string();
    assert!(said.contains(path.to_str().unwrap()), "names no {}: {said}", path.display());
    assert!(said.contains(cure), "offers no cure `{cure}`: {said}");
}

#[tokio::test]
async fn what_was_written_is_there_when_the_file_is_opened_again() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    let database = sqlite::open(&path, first(), &Clock::system()).await.unwrap();
    assert_eq!(notes(&database).await, 10);
}

#[tokio::test]
async fn the_writer_waits_for_the_disk_and_heeds_foreign_keys() {
    let folder = tempdir().unwrap();
    let database =
        sqlite::open(folder.path().join("a.db"), first(), &Clock::system()).await.unwrap();
    let settings = database.write(|connection| {
        let mode = connection.one("pragma journal_mode", (), first_text)?;
        let synchronous = connection.one("pragma synchronous", (), first_integer)?;
        let foreign_keys = connection.one("pragma foreign_keys", (), first_integer)?;
        Ok::<_, store::Error>((mode, synchronous, foreign_keys))
    });
    assert_eq!(settings.await.unwrap(), ("wal".to_owned(), 2, 1));
}

#[tokio::test]
async fn sqlite_is_free_of_the_bug_that_loses_a_reset_log() {
    let folder = tempdir().unwrap();
    let database =
        sqlite::open(folder.path().join("a.db"), first(), &Clock::system()).await.unwrap();
    let version = text(&database, "select sqlite_version()").await;
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(parts >= vec![3, 51, 3], "{version}");
}

#[tokio::test]
async fn a_file_is_opened_once_whatever_name_it_is_opened_by() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let open = sqlite::open(&path, first(), &Clock::system()).await.unwrap();
    for name in [&path, &link, &folder.path().join("./notes.db")] {
        let error = refused(name, first()).await;
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
        assert_says(&error, &path.canonicalize().unwrap(), "stop that one");
    }
    note(&open).await;
    open.close().await;
    let again = sqlite::open(&link, first(), &Clock::system()).await.unwrap();
    assert_eq!(notes(&again).await, 11);
}

#[tokio::test]
async fn a_refused_opening_lets_the_file_go() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, BOTH).await;
    refused(&path, first()).await;
    sqlite::open(&path, BOTH, &Clock::system()).await.unwrap();
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, BOTH).await;
    let error = refused_untouched(&path, first()).await;
    assert!(matches!(error, Error::Newer { version: 2, .. }), "{error:?}");
    assert_says(&error, &path, "run that version");
}

/// A restored copy has no log beside it and is not in WAL mode; a refusal must not even change that.
#[tokio::test]
async fn a_restored_copy_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, BOTH).await;
    meddle(&path, "pragma journal_mode = delete").await;
    let error = refused_untouched(&path, first()).await;
    assert!(matches!(error, Error::Newer { version: 2, .. }), "{error:?}");

    let database = sqlite::open(&path, BOTH, &Clock::system()).await.unwrap();
    assert_eq!(text(&database, "pragma journal_mode").await, "wal");
}

#[tokio::test]
async fn one_schema_of_a_newer_version_is_refused_before_the_other_is_migrated() {
    const OTHER: Schema = Schema {
        table: "_other_migrations",
        migrations: &[("other", "create table other (line text not null)")],
    };
    let folder = tempdir().unwrap();
    let path = noted(&folder, &[Schema::own(&[FIRST]), OTHER]).await;
    meddle(
        &path,
        "insert into _other_migrations (version, description, success, checksum, execution_time)
         values (99, 'tomorrow', true, x'00', 0)",
    )
    .await;
    let error = refused_untouched(&path, &[Schema::own(&[FIRST, SECOND]), OTHER]).await;
    assert!(matches!(error, Error::Newer { version: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn the_database_of_another_service_is_refused() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    let error = refused_untouched(&path, &[Schema::own(&[SECOND])]).await;
    assert!(matches!(error, Error::Foreign { version: 1, .. }), "{error:?}");
    assert_says(&error, &path, "name the right file");
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    let database = sqlite::open(&path, BOTH, &Clock::system()).await.unwrap();
    let marks = integer(&database, "select count(*) from mark").await;
    assert_eq!((marks, notes(&database).await), (0, 10));
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_schema_as_it_was() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    const BROKEN: (&str, &str) =
        ("marks", "create table mark (line text); insert into nowhere values (1);");
    let error = refused(&path, &[Schema::own(&[FIRST, BROKEN])]).await;
    assert!(matches!(error, Error::Migration { .. }), "{error:?}");
    let database = sqlite::open(&path, BOTH, &Clock::system()).await.unwrap();
    assert_eq!(notes(&database).await, 10);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("letter.db");
    fs::write(&path, "Dear reader, ".repeat(1000)).unwrap();
    let error = refused_untouched(&path, first()).await;
    assert!(matches!(error, Error::NotADatabase { .. }), "{error:?}");
    assert_says(&error, &path, "move it away");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let folder = tempdir().unwrap();
    let path = noted(&folder, first()).await;
    let mut bytes = fs::read(&path).unwrap();
    // The first page is left: it says that this is a database.
    bytes[4096..].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let error = refused_untouched(&path, first()).await;
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_says(&error, &path, "restore the last backup");
}

#[tokio::test]
async fn a_folder_that_is_missing_or_is_a_file_is_refused() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for parent in [folder.path().join("missing"), file] {
        let error = refused(&parent.join("a.db"), first()).await;
        assert!(matches!(error, Error::Folder { .. }), "{error:?}");
        assert_says(&error, &parent, "create it");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[tokio::test]
async fn a_path_that_names_a_folder_is_refused() {
    let folder = tempdir().unwrap();
    let error = refused(folder.path(), first()).await;
    assert!(matches!(error, Error::NotAFile { .. }), "{error:?}");
    assert_says(&error, folder.path(), "move what is there away");
}

/// Not even root can make a file there.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    let path = Path::new("/proc/sagamesh.db");
    let error = refused(path, first()).await;
    assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");
    assert_says(&error, path, "make it and its folder writable");
}
