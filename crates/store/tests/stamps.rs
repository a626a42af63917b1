//! What a database says of itself: which it is, how far it has come, and how far the others were.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{path::Path, time::Duration};

use clock::{Clock, Timestamp};
use sqlx::{Connection, SqliteConnection};
use store::{
    Database, Error,
    sqlite::{self, Schema},
    stamp::{Fault, losses},
};

const SCHEMAS: &[Schema] = &[Schema::own(&[("notes", "create table note (line text not null)")])];

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const DAY: Duration = Duration::from_hours(24);

async fn open_at(path: &Path, now: Timestamp) -> Database {
    sqlite::open(path, SCHEMAS, &Clock::manual(now).0).await.unwrap()
}

async fn open(path: &Path) -> Database {
    open_at(path, NOW).await
}

/// Two databases that note how far the other is.
async fn open_siblings(one: &Path, other: &Path) -> (Database, Database) {
    let (one, other) = (open(one).await, open(other).await);
    one.belong_with([&other]);
    other.belong_with([&one]);
    (one, other)
}

async fn write(database: &Database) {
    let written = database.write(|connection| {
        connection.execute("insert into note (line) values ('x')", ())?;
        Ok::<_, Error>(())
    });
    written.await.unwrap();
}

/// Carries `sql` out behind the library's back.
async fn meddle(path: &Path, sql: &'static str) {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn transactions_that_change_something_are_counted_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let database = open(&path).await;
    let first = database.stamp();
    assert_eq!((first.name.as_str(), first.transactions, first.at), ("a", 0, Timestamp(0)));
    write(&database).await;
    database.write(|_| Ok::<_, Error>(())).await.unwrap();
    let refused: Result<(), Error> = database
        .write(|connection| {
            connection.execute("insert into note (line) values ('gone')", ())?;
            Err(Error::Closed)
        })
        .await;
    assert!(refused.is_err());
    write(&database).await;
    assert_eq!((database.stamp().transactions, database.stamp().at), (2, NOW));
    database.close().await;
    let again = open(&path).await;
    assert_eq!(again.stamp(), database.stamp());
    assert_eq!(again.stamp().id, first.id);
}

#[tokio::test]
async fn two_databases_have_two_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) =
        (open(&folder.path().join("a.db")).await, open(&folder.path().join("b.db")).await);
    assert_ne!(one.stamp().id, other.stamp().id);
}

#[tokio::test]
async fn a_transaction_notes_how_far_the_others_are_and_so_does_the_close() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let (one, other) = open_siblings(&a, &b).await;
    write(&one).await;
    write(&other).await;
    let noted_by_other = one.stamp();
    write(&one).await;
    let noted_by_one = other.stamp();
    // Not by its last transaction: by its end.
    write(&other).await;
    one.close().await;
    assert_eq!(open(&a).await.found().noted, [other.stamp()]);
    assert_ne!(noted_by_one, other.stamp());
    other.close().await;
    assert_eq!(open(&b).await.found().noted, [one.stamp()]);
    assert_ne!(noted_by_other, one.stamp());
}

#[tokio::test]
async fn a_note_alone_is_no_transaction_so_that_two_do_not_note_each_other_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let (one, other) = open_siblings(&a, &b).await;
    write(&one).await;
    for _ in 0..3 {
        other.note().await.unwrap();
        one.note().await.unwrap();
    }
    assert_eq!((one.stamp().transactions, other.stamp().transactions), (1, 0));
    assert_eq!(other.commits(), 1, "noted again without news");
}

#[tokio::test]
async fn a_database_from_before_there_were_stamps_is_taken_as_it_is_and_was_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.db"), folder.path().join("b.db"));
    open(&a).await.close().await;
    meddle(&a, "drop table _stamp; drop table _store_migrations").await;
    let adopted = open(&a).await;
    assert_eq!(adopted.stamp().transactions, 1);
    let found = [adopted.found().clone(), open(&b).await.found().clone()];
    let faults: Vec<_> =
        losses(&found).into_iter().map(|loss| (loss.own.name, loss.fault)).collect();
    assert_eq!(faults, [("b".to_owned(), Fault::New)], "the one beside it was made anew");
}

#[tokio::test]
async fn a_stamp_that_makes_no_sense_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    open(&path).await.close().await;
    for sql in [
        "update _stamp set noted = 'x'",
        "update _stamp set transactions = -1",
        "delete from _stamp",
    ] {
        meddle(&path, sql).await;
        let refused = sqlite::open(&path, SCHEMAS, &Clock::system()).await.unwrap_err();
        assert!(matches!(refused, sqlite::open::Error::Stamp { .. }), "{refused:?}");
        assert!(refused.to_string().contains("restore the last backup"), "{refused}");
    }
}

#[tokio::test]
async fn removal_is_held_for_a_day_where_the_clock_has_jumped_also_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let database = open(&path).await;
    write(&database).await;
    database.close().await;
    let database = open_at(&path, NOW.after(DAY)).await;
    assert!(database.removal_from() <= NOW.after(DAY), "a day is no jump");
    database.close().await;

    let ahead = NOW.after(400 * DAY);
    let database = open_at(&path, ahead).await;
    assert_eq!(database.removal_from(), ahead.after(DAY));
    // Rows of the new time make it no more credible.
    write(&database).await;
    database.close().await;
    let later = ahead.after(Duration::from_hours(1));
    let database = open_at(&path, later).await;
    assert_eq!(database.removal_from(), ahead.after(DAY));
    database.close().await;

    // The clock is set right again.
    let database = open_at(&path, NOW).await;
    assert_eq!(database.removal_from(), NOW.after(DAY));
}
