//! The one writer of an SQLite database: what callers share a transaction for, and what they must not share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod test_store;

use clock::Clock;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::{
    executor::block_on,
    future::{BoxFuture, join, join_all},
    poll,
};
use store::{
    Connection, Database, Error,
    sqlite::{self, Schema},
};
use test_store::Sqlite;
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
        let (database, mut gate) = (database.clone(), Some((begin, told)));
        let job = tokio::spawn(async move {
            database
                .write(move |_| {
                    let (begin, told) = gate.take().unwrap();
                    begin.send(()).unwrap();
                    told.blocking_recv().unwrap();
                    Ok(())
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
    Box::pin(database.write(move |connection| Sqlite::add(connection, label)))
}

/// Breaks a rule that only the commit notices.
fn spoil(connection: &Connection) -> Result<(), Error> {
    connection.execute("insert into child (parent_id) values (1)", ()).map(drop)
}

fn refusal(why: &str) -> Error {
    Error::statement(std::io::Error::other(why.to_owned()))
}

fn seen(connection: &Connection) -> Result<i64, Error> {
    connection.one("select count(*) from effect", (), |row| row.get(0))
}

fn run<'d>(database: &'d Database, statement: &'static str) -> Written<'d, ()> {
    Box::pin(database.write(move |connection| connection.execute(statement, ()).map(drop)))
}

#[tokio::test]
async fn writes_that_wait_together_are_one_transaction() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let counting = |number: i64| -> Written<'_, (i64, i64, i64)> {
        let readers = database.clone();
        Box::pin(database.write(move |connection| {
            Sqlite::add(connection, "any")?;
            let outside = block_on(readers.read(seen))?;
            Ok((number, seen(connection)?, outside))
        }))
    };
    let busy = Busy::start(database).await;
    // These are as many jobs as one transaction takes.
    let seen = busy.then((1..=64).map(counting).collect()).await;
    for result in seen {
        let (number, inside, outside) = result.unwrap();
        assert_eq!((inside, outside), (number, 0), "write {number}");
    }
    assert_eq!(test_store.count("any").await, 64);
}

#[tokio::test]
async fn a_write_that_panics_or_refuses_does_not_hurt_its_neighbours() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let panics: Written<'_, ()> = Box::pin(database.write(|connection| {
        Sqlite::add(connection, "gone")?;
        panic!("out of dice")
    }));
    let refuses: Written<'_, ()> = Box::pin(database.write(|connection| {
        Sqlite::add(connection, "gone")?;
        Err(refusal("not today"))
    }));
    // The work panics inside a savepoint of its own.
    let panics_inside: Written<'_, ()> = Box::pin(database.write(|connection| {
        connection.execute("savepoint inside", ())?;
        Sqlite::add(connection, "gone")?;
        panic!("out of cards")
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
    assert_eq!((test_store.count("kept").await, test_store.count("gone").await), (4, 0));
}

/// A write that adds `label`, counts its run, and then ends as `end` does.
fn counted<'d>(
    database: &'d Database,
    label: &'static str,
    runs: &Arc<AtomicUsize>,
    end: fn() -> Result<(), Error>,
) -> Written<'d, ()> {
    let runs = Arc::clone(runs);
    Box::pin(database.write(move |connection| {
        runs.fetch_add(1, Ordering::Relaxed);
        Sqlite::add(connection, label)?;
        end()
    }))
}

#[tokio::test]
async fn wherever_a_write_fails_its_neighbours_are_kept_once() {
    let ends: [fn() -> Result<(), Error>; 3] =
        [|| Ok(()), || Err(refusal("not today")), || panic!("out of dice")];
    for (end, place) in ends.into_iter().flat_map(|end| (0..4).map(move |place| (end, place))) {
        let test_store = Sqlite::open().await;
        let (database, runs) = (&test_store.database, Arc::default());
        let sound = std::panic::catch_unwind(end).is_ok_and(|end| end.is_ok());
        let busy = Busy::start(database).await;
        let writes = (0..4).map(|at| match at == place {
            true => counted(database, "other", &runs, end),
            false => counted(database, "kept", &runs, || Ok(())),
        });
        let commits = database.commits();
        let results = busy.then(writes.collect()).await;
        for (at, result) in results.iter().enumerate() {
            assert_eq!(result.is_ok(), at != place || sound, "write {at} of {place}");
        }
        let (kept, other) = (test_store.count("kept").await, test_store.count("other").await);
        assert_eq!((kept, other), (3, i64::from(sound)));
        assert_eq!(
            database.commits(),
            commits + 1,
            "one for all; the busy one has changed nothing"
        );
        // The jobs up to the one that failed have run, and then all have run again.
        let expected = if sound { 4 } else { place + 1 + 4 };
        assert_eq!(runs.load(Ordering::Relaxed), expected, "place {place}");
    }
}

/// It has nothing to take back: the others need not be run again for it.
#[tokio::test]
async fn writes_are_run_once_beside_one_that_fails_before_it_has_changed_anything() {
    let ends: [fn() -> Result<(), Error>; 2] =
        [|| Err(refusal("not today")), || panic!("out of dice")];
    for (end, place) in ends.into_iter().flat_map(|end| (0..3).map(move |place| (end, place))) {
        let test_store = Sqlite::open().await;
        let (database, runs) = (&test_store.database, Arc::default());
        let busy = Busy::start(database).await;
        let writes = (0..3).map(|at| -> Written<'_, ()> {
            match at == place {
                true => Box::pin(database.write(move |connection| {
                    // No row has this name.
                    connection.execute("delete from effect where label = 'nobody'", ())?;
                    end()
                })),
                false => counted(database, "kept", &runs, || Ok(())),
            }
        });
        let results = busy.then(writes.collect()).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2, "place {place}");
        assert!(results[place].is_err());
        assert_eq!((test_store.count("kept").await, runs.load(Ordering::Relaxed)), (2, 2));
    }
}

#[tokio::test]
async fn only_what_was_committed_counts_as_a_commit() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let commits = database.commits();
    let refused = database.write(|_| Err::<(), _>(refusal("not today")));
    refused.await.unwrap_err();
    let undone = database.write(|connection| {
        connection.execute("insert into effect (label) values ('undone')", ())?;
        Err::<(), _>(refusal("on second thoughts"))
    });
    undone.await.unwrap_err();
    assert_eq!((database.commits(), test_store.count("undone").await), (commits, 0));
    add(database, "any").await.unwrap();
    assert_eq!(database.commits(), commits + 1);
}

#[tokio::test]
async fn a_failed_commit_answers_nobody_of_its_transaction_with_success() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let spoils: Written<'_, ()> = Box::pin(database.write(spoil));
    let refuses: Written<'_, ()> = Box::pin(database.write(|_| Err(refusal("not today"))));
    let busy = Busy::start(database).await;
    let results =
        busy.then(vec![add(database, "any"), spoils, refuses, add(database, "any")]).await;
    for result in results {
        assert!(matches!(result, Err(Error::Commit(_))), "{result:?}");
    }
    assert_eq!(test_store.count("any").await, 0);
    add(database, "any").await.unwrap();
    assert_eq!(test_store.count("any").await, 1);
}

#[tokio::test]
async fn a_database_fails_until_something_is_written_again_and_a_probe_is_something() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let failing = database.failing();
    for repaired_by_probe in [true, false] {
        assert!(failing.borrow().is_none());
        let failed: Result<(), Error> = database.write(spoil).await;
        assert!(matches!(failed, Err(Error::Commit(_))));
        assert!(matches!(*failing.borrow(), Some(Error::Commit(_))), "{failing:?}");
        // Work that writes nothing does not wait for the disk, so it does not show whether the disk works.
        let looked: Result<i64, Error> = database.write(seen).await;
        looked.unwrap();
        assert!(failing.borrow().is_some());
        match repaired_by_probe {
            true => database.probe().await.unwrap(),
            false => add(database, "any").await.unwrap(),
        }
    }
    assert!(failing.borrow().is_none());
    assert_eq!(test_store.count("any").await, 1);
}

/// Whatever state a failed transaction left its connection in ends with it.
#[tokio::test]
async fn a_failed_commit_is_followed_by_a_fresh_connection() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let run = |statement| run(database, statement);
    run("create temp table of_this_connection (line text)").await.unwrap();
    run("insert into of_this_connection values ('there')").await.unwrap();
    run("insert into child (parent_id) values (1)").await.unwrap_err();
    run("insert into of_this_connection values ('gone')").await.unwrap_err();
    let foreign_keys_still_heeded = run("insert into child (parent_id) values (1)").await;
    assert!(matches!(foreign_keys_still_heeded, Err(Error::Commit(_))));
}

fn pages(connection: &Connection, limit: &str) -> Result<i64, Error> {
    connection.one(limit, (), |row| row.get(0))
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_did_not_keep_and_the_writer_goes_on() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let fills: Written<'_, ()> = Box::pin(database.write(|connection| {
        pages(connection, "pragma max_page_count = 1")?;
        connection.execute("insert into effect (label) select hex(zeroblob(100000))", ())?;
        Ok(())
    }));
    let busy = Busy::start(database).await;
    let results = busy.then(vec![add(database, "first"), fills, add(database, "last")]).await;
    assert!(results[1].is_err());
    for (label, result) in [("first", &results[0]), ("last", &results[2])] {
        assert_eq!(test_store.count(label).await, i64::from(result.is_ok()), "{label}: {result:?}");
    }
    let restored =
        database.write(move |connection| pages(connection, "pragma max_page_count = 1000000"));
    restored.await.unwrap();
    add(database, "after").await.unwrap();
    assert_eq!(test_store.count("after").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answered_write_is_seen_by_every_other_connection() {
    let test_store = Arc::new(Sqlite::open().await);
    // These are more jobs than one transaction takes.
    let writers = (0..600).map(|number| {
        let test_store = Arc::clone(&test_store);
        tokio::spawn(async move {
            let label = format!("write {number}");
            let write = label.clone();
            let written =
                test_store.database.write(move |connection| Sqlite::add(connection, &write));
            written.await.unwrap();
            assert_eq!(test_store.count(&label).await, 1, "{label}");
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let test_store = Sqlite::open().await;
    let insert = "insert into effect (label) values ('smuggled')";
    let refused = test_store.database.read(|connection| connection.execute(insert, ())).await;
    let refused = facts(&refused.unwrap_err());
    assert!(refused.contains("readonly"), "{refused}");
    assert_eq!(test_store.count("smuggled").await, 0);
}

/// An error with its cause.
fn facts(error: &Error) -> String {
    format!("{error}: {}", std::error::Error::source(error).unwrap())
}

#[tokio::test]
async fn what_a_read_sees_does_not_change_while_it_runs() {
    let test_store = Sqlite::open().await;
    let (begin, begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel();
    let twice = test_store.database.read(move |connection| {
        let before = seen(connection)?;
        begin.send(()).unwrap();
        told.blocking_recv().unwrap();
        Ok::<_, Error>((before, seen(connection)?))
    });
    let write = async {
        begun.await.unwrap();
        add(&test_store.database, "any").await.unwrap();
        go_on.send(()).unwrap();
    };
    let (twice, ()) = join(twice, write).await;
    assert_eq!(twice.unwrap(), (0, 0));
    assert_eq!(test_store.database.read(seen).await.unwrap(), 1);
}

/// More reads than there are connections, each of which ends in its own bad way.
#[tokio::test]
async fn a_read_that_panics_or_fails_does_not_hurt_the_reads_behind_it() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    add(database, "any").await.unwrap();
    for _ in 0..20 {
        let panicked: Result<(), Error> = database.read(|_| panic!("out of ink")).await;
        assert!(matches!(panicked, Err(Error::Panicked(ref said)) if said == "out of ink"));
        let failed = database.read(|connection| connection.execute("select nothing", ())).await;
        assert!(matches!(failed, Err(Error::Statement(_))), "{failed:?}");
        // The transaction is gone at the end; the connection is not kept.
        database.read(|connection| connection.execute("rollback", ())).await.unwrap();
        assert_eq!(database.read(seen).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn close_waits_for_the_reads_that_were_begun_and_takes_no_more() {
    let test_store = Sqlite::open().await;
    let (begin, begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel();
    let database = test_store.database.clone();
    let reading = tokio::spawn(async move {
        let read = database.read(move |connection| {
            begin.send(()).unwrap();
            told.blocking_recv().unwrap();
            seen(connection)
        });
        read.await
    });
    begun.await.unwrap();
    let mut closing = Box::pin(test_store.database.close());
    assert!(poll!(&mut closing).is_pending());
    go_on.send(()).unwrap();
    closing.await;
    assert_eq!(reading.await.unwrap().unwrap(), 0);
    let late = test_store.database.read(seen).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}

#[tokio::test]
async fn close_finishes_what_was_handed_over_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("close.db");
    let schema = Schema::own(&[("effects", "create table effect (label text not null)")]);
    let database = sqlite::open(&path, &[schema], &Clock::system()).await.unwrap();
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
    let reopened = sqlite::open(&path, &[schema], &Clock::system()).await.unwrap();
    assert_eq!(reopened.read(seen).await.unwrap(), 10);
}

#[tokio::test]
async fn work_that_finds_its_row_taken_is_told_so_apart_from_every_other_failure() {
    let test_store = Sqlite::open().await;
    let database = &test_store.database;
    let twice = "insert into parent (id) values (1)";
    run(database, twice).await.unwrap();
    let taken = run(database, twice).await.unwrap_err();
    assert!(matches!(taken, Error::Taken(_)), "{taken:?}");
    for other in ["insert into effect (label) values (null)", "insert into nowhere values (1)"] {
        let other = run(database, other).await.unwrap_err();
        assert!(matches!(other, Error::Statement(_)), "{other:?}");
    }
}

#[tokio::test]
async fn a_read_whose_caller_is_gone_is_stopped_or_not_begun_and_leaves_its_connection_to_others() {
    let sqlite = Sqlite::open().await;
    let endless = || {
        sqlite.database.search(|connection| {
            let count = "with recursive number(value) as \
                         (select 1 union all select value + 1 from number) select count(*) from number";
            connection.one(count, (), |row| row.get::<i64>(0))
        })
    };
    // More than there are connections: some run, and some wait.
    let mut reads: Vec<_> = (0..8).map(|_| Box::pin(endless())).collect();
    for _ in 0..100 {
        for read in &mut reads {
            assert!(poll!(read).is_pending());
        }
        tokio::task::yield_now().await;
    }
    drop(reads);
    for _ in 0..8 {
        let read = sqlite.database.search(|connection| {
            connection.one("select count(*) from effect", (), |row| row.get::<i64>(0))
        });
        assert_eq!(read.await.unwrap(), 0);
    }
}
