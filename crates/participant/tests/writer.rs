//! The one writer of an SQLite database: what callers share a transaction for, and what they must not share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;

use bench::Sqlite;
use futures::{
    future::{BoxFuture, join_all},
    poll,
};
use participant::{Database, Failure, Store, conformance::Bench, sqlite, store::Error};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::oneshot;

type Written<'d, T> = BoxFuture<'d, Result<T, Error>>;

/// A job that keeps the writer busy, so that what is handed over meanwhile shares the next transaction.
struct Busy {
    job: tokio::task::JoinHandle<Result<(), Error>>,
    go_on: oneshot::Sender<()>,
}

impl Busy {
    async fn start(database: &Database) -> Self {
        let (begin, begun) = oneshot::channel();
        let (go_on, told) = oneshot::channel();
        let database = database.clone();
        let job = tokio::spawn(async move {
            database
                .write(|_| {
                    Box::pin(async move {
                        begin.send(()).unwrap();
                        told.await.unwrap();
                        Ok(())
                    })
                })
                .await
        });
        begun.await.unwrap();
        Self { job, go_on }
    }

    /// Hands all the `writes` over, and only then lets the writer go on with them.
    async fn then<T>(self, mut writes: Vec<Written<'_, T>>) -> Vec<Result<T, Error>> {
        for write in &mut writes {
            assert!(poll!(write).is_pending());
        }
        self.go_on.send(()).unwrap();
        self.job.await.unwrap().unwrap();
        join_all(writes).await
    }
}

fn add<'d>(database: &'d Database, label: &'static str) -> Written<'d, ()> {
    Box::pin(database.write(move |connection| Box::pin(added(connection, label))))
}

async fn added(connection: &mut SqliteConnection, label: &str) -> Result<(), Error> {
    Sqlite::add(connection, label).await.map_err(statement)
}

fn statement(failure: Failure) -> Error {
    match failure {
        Failure::Technical(cause) => Error::statement(sqlx::Error::Configuration(cause)),
        Failure::Declined(decline) | Failure::DeclinedKeeping(decline) => {
            Error::statement(sqlx::Error::Protocol(decline.message))
        }
    }
}

async fn seen(connection: &mut SqliteConnection) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("select count(*) from effect").fetch_one(connection).await?)
}

#[tokio::test]
async fn writes_that_wait_together_are_one_transaction() {
    let bench = Sqlite::open().await;
    let (database, readers) = (&bench.database, bench.database.read());
    let counting = |number: i64| -> Written<'_, (i64, i64, i64)> {
        let readers = readers.clone();
        Box::pin(database.write(move |connection| {
            Box::pin(async move {
                added(connection, "any").await?;
                let outside = seen(&mut *readers.acquire().await?).await?;
                Ok((number, seen(connection).await?, outside))
            })
        }))
    };
    let busy = Busy::start(database).await;
    let seen = busy.then((1..=100).map(counting).collect()).await;
    for result in seen {
        let (number, inside, outside) = result.unwrap();
        assert_eq!((inside, outside), (number, 0), "write {number}");
    }
    assert_eq!(bench.count("any").await, 100);
}

#[tokio::test]
async fn a_write_that_panics_or_refuses_does_not_hurt_its_neighbours() {
    let bench = Sqlite::open().await;
    let database = &bench.database;
    let panics: Written<'_, ()> = Box::pin(database.write(|connection| {
        Box::pin(async move {
            added(connection, "gone").await?;
            panic!("out of dice")
        })
    }));
    let refuses: Written<'_, ()> = Box::pin(database.write(|connection| {
        Box::pin(async move {
            added(connection, "gone").await?;
            Err(Error::statement(sqlx::Error::RowNotFound))
        })
    }));
    // Half way into a savepoint of its own.
    let panics_inside: Written<'_, ()> = Box::pin(database.write(|connection| {
        Box::pin(async move {
            let mut savepoint = connection.begin().await?;
            added(&mut savepoint, "gone").await?;
            panic!("out of cards")
        })
    }));
    let busy = Busy::start(database).await;
    let neighbour = || add(database, "kept");
    let results = busy
        .then(vec![
            neighbour(),
            panics,
            neighbour(),
            refuses,
            neighbour(),
            panics_inside,
            neighbour(),
        ])
        .await;
    let told: Vec<_> =
        results.iter().map(|result| result.as_ref().map_err(ToString::to_string)).collect();
    assert_eq!(
        told,
        [
            Ok(&()),
            Err("the work on the database panicked: out of dice".to_owned()),
            Ok(&()),
            Err("a statement on the database failed".to_owned()),
            Ok(&()),
            Err("the work on the database panicked: out of cards".to_owned()),
            Ok(&()),
        ]
    );
    assert_eq!((bench.count("kept").await, bench.count("gone").await), (4, 0));
}

#[tokio::test]
async fn a_failed_commit_answers_nobody_of_its_transaction_with_success() {
    let bench = Sqlite::open().await;
    let database = &bench.database;
    let spoils: Written<'_, ()> = Box::pin(database.write(|connection| {
        Box::pin(async move { Sqlite::spoil(connection).await.map_err(statement) })
    }));
    let refuses: Written<'_, ()> = Box::pin(
        database.write(|_| Box::pin(async { Err(Error::statement(sqlx::Error::RowNotFound)) })),
    );
    let busy = Busy::start(database).await;
    let results =
        busy.then(vec![add(database, "any"), spoils, refuses, add(database, "any")]).await;
    for result in results {
        assert!(matches!(result, Err(Error::Commit(_))), "{result:?}");
    }
    assert_eq!(bench.count("any").await, 0);
    add(database, "any").await.unwrap();
    assert_eq!(bench.count("any").await, 1);
}

/// Whatever state a failed transaction left its connection in ends with it.
#[tokio::test]
async fn a_failed_commit_is_followed_by_a_fresh_connection() {
    let bench = Sqlite::open().await;
    let database = &bench.database;
    let run = |sql: &'static str| -> Written<'_, ()> {
        Box::pin(database.write(move |connection| {
            Box::pin(async move {
                sqlx::query(sql).execute(connection).await?;
                Ok(())
            })
        }))
    };
    run("create temp table of_this_connection (line text)").await.unwrap();
    run("insert into of_this_connection values ('there')").await.unwrap();
    run("insert into child (parent_id) values (1)").await.unwrap_err();
    run("insert into of_this_connection values ('gone')").await.unwrap_err();
    let foreign_keys_still_heeded = run("insert into child (parent_id) values (1)").await;
    assert!(matches!(foreign_keys_still_heeded, Err(Error::Commit(_))));
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_did_not_keep_and_the_writer_goes_on() {
    let bench = Sqlite::open().await;
    let database = &bench.database;
    let fills: Written<'_, ()> = Box::pin(database.write(|connection| {
        Box::pin(async move {
            sqlx::query("pragma max_page_count = 1").execute(&mut *connection).await?;
            sqlx::query("insert into effect (label) select hex(zeroblob(100000))")
                .execute(connection)
                .await?;
            Ok(())
        })
    }));
    let busy = Busy::start(database).await;
    let results = busy.then(vec![add(database, "first"), fills, add(database, "last")]).await;
    assert!(results[1].is_err());
    for (label, result) in [("first", &results[0]), ("last", &results[2])] {
        assert_eq!(bench.count(label).await, i64::from(result.is_ok()), "{label}: {result:?}");
    }
    let room = "pragma max_page_count = 1000000";
    let restored = database.write(move |connection| {
        Box::pin(async move {
            sqlx::query(room).execute(connection).await?;
            Ok::<_, Error>(())
        })
    });
    restored.await.unwrap();
    add(database, "after").await.unwrap();
    assert_eq!(bench.count("after").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answered_write_is_seen_by_every_other_connection() {
    let bench = Sqlite::open().await;
    // More than one transaction takes.
    let writers = (0..600).map(|number| {
        let database = bench.database.clone();
        tokio::spawn(async move {
            let label = format!("write {number}");
            let write = label.clone();
            let written = database
                .write(move |connection| Box::pin(async move { added(connection, &write).await }));
            written.await.unwrap();
            let seen: i64 = sqlx::query_scalar("select count(*) from effect where label = $1")
                .bind(&label)
                .fetch_one(database.read())
                .await
                .unwrap();
            assert_eq!(seen, 1, "{label}");
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let bench = Sqlite::open().await;
    let insert = sqlx::query("insert into effect (label) values ('smuggled')");
    let refused = insert.execute(bench.database.read()).await.unwrap_err();
    assert!(refused.to_string().contains("readonly"), "{refused}");
    assert_eq!(bench.count("smuggled").await, 0);
}

#[tokio::test]
async fn close_finishes_what_was_handed_over_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("close.db");
    let migrator = sqlite::migrations(&[("effects", "create table effect (label text not null)")]);
    let database = Database::open(&path, &migrator).await.unwrap();
    let busy = Busy::start(&database).await;
    let mut handed: Vec<_> = (0..10).map(|_| add(&database, "any")).collect();
    for write in &mut handed {
        assert!(poll!(write).is_pending());
    }
    let mut closing = Box::pin(database.close());
    assert!(poll!(&mut closing).is_pending());
    let late = add(&database, "late").await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");

    let written = busy.then(handed).await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    closing.await;
    database.close().await;
    let reopened = Database::open(&path, &migrator).await.unwrap();
    assert_eq!(seen(&mut reopened.read().acquire().await.unwrap()).await.unwrap(), 10);
}

fn script(statements: &[&str]) -> sqlite::Script {
    let mut script = sqlite::Script::default();
    for statement in statements {
        script.statement(statement);
    }
    script
}

#[tokio::test]
async fn a_script_is_one_transaction_and_gives_the_rows_of_all_its_statements() {
    let bench = Sqlite::open().await;
    let mut labels = script(&[
        "insert into effect (label) values (?), (?) returning label",
        "select ? as label",
    ]);
    ["first", "second", "third"].into_iter().for_each(|label| labels.bind(label));
    let commits = bench.database.commits();
    let rows = bench.database.play(labels).await.unwrap();
    let labels: Vec<String> = rows.iter().map(|row| row.get("label")).collect();
    assert_eq!(labels, ["first", "second", "third"]);
    assert_eq!(bench.database.commits() - commits, 1);
    assert_eq!((bench.count("first").await, bench.count("second").await), (1, 1));
}

#[tokio::test]
async fn of_a_script_that_fails_nothing_is_kept_and_the_error_says_whether_that_is_certain() {
    let bench = Sqlite::open().await;
    let database = &bench.database;
    let adds = "insert into effect (label) values ('gone')";
    let statement = script(&[adds, "insert into effect (label) values (null)"]);
    let failed = database.play(statement).await;
    assert!(matches!(failed, Err(Error::Statement(_))), "{failed:?}");
    let commit = script(&[adds, "insert into child (parent_id) values (1)"]);
    let failed = database.play(commit).await;
    assert!(matches!(failed, Err(Error::Commit(_))), "{failed:?}");
    assert_eq!(bench.count("gone").await, 0);
    database.play(script(&["insert into effect (label) values ('kept')"])).await.unwrap();
    add(database, "kept").await.unwrap();
    assert_eq!(bench.count("kept").await, 2);
}
