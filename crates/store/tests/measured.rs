//! What is measured of a database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod test_store;

use std::time::Duration;

use clock::{Clock, Timestamp};
use futures::{future::join_all, poll};
use metrics::{Registry, exposition::Exposition};
use store::{
    Connection, Database, Error,
    retention::{self, Batch, Expiring, Keep},
    sqlite,
};
use test_store::Sqlite;
use tokio::sync::oneshot;

fn value(metrics: &Registry, name: &str, labels: &[(&str, &str)]) -> f64 {
    let scraped = Exposition::parse(&metrics.encode()).unwrap();
    scraped.value(name, labels).unwrap_or_else(|| panic!("{name}{labels:?} is not there"))
}

fn of(op: &'static str) -> [(&'static str, &'static str); 2] {
    [("op", op), ("backend", "sqlite")]
}

async fn measured() -> (Sqlite, Registry) {
    let (sqlite, metrics) = (Sqlite::open().await, Registry::new());
    sqlite.database.measured_by(&metrics, &Clock::system());
    (sqlite, metrics)
}

async fn add(database: &Database) {
    let added: Result<(), Error> =
        database.write(|connection| Sqlite::add(connection, "one")).await;
    added.unwrap();
}

#[tokio::test]
async fn what_waits_for_the_disk_is_a_commit_and_what_changes_nothing_is_none() {
    let (sqlite, metrics) = measured().await;
    add(&sqlite.database).await;
    let looked: Result<(), Error> = sqlite.database.write(|_| Ok(())).await;
    looked.unwrap();
    sqlite.count("one").await;
    let listed: Result<(), Error> = sqlite.database.search(|_| Ok(())).await;
    listed.unwrap();
    let name = "saga_store_op_duration_seconds_count";
    let counts = ["write", "commit", "read", "list"].map(|op| value(&metrics, name, &of(op)));
    assert_eq!(counts, [2.0, 1.0, 1.0, 1.0]);
    let taken = value(&metrics, "saga_store_op_duration_seconds_sum", &of("commit"));
    assert!(taken > 0.0 && taken < 5.0, "{taken} seconds");
    assert_eq!(value(&metrics, "saga_store_errors_total", &[]), 0.0);
    assert_eq!(value(&metrics, "saga_schema_version", &[("database", "bench")]), 1.0);
}

#[tokio::test]
async fn a_transaction_that_fails_is_an_error_and_work_that_says_no_is_none() {
    let (sqlite, metrics) = measured().await;
    let said_no: Result<(), Error> = sqlite.database.write(|_| Err(Error::NoRow)).await;
    said_no.unwrap_err();
    assert_eq!(value(&metrics, "saga_store_errors_total", &[]), 0.0);
    let spoil = |connection: &Connection| {
        connection.execute("insert into child (parent_id) values (1)", ()).map(drop)
    };
    let spoiled: Result<(), Error> = sqlite.database.write(spoil).await;
    assert!(matches!(spoiled, Err(Error::Commit(_))), "{spoiled:?}");
    assert_eq!(value(&metrics, "saga_store_errors_total", &of("commit")), 1.0);
    assert_eq!(value(&metrics, "saga_store_errors_total", &of("write")), 1.0);
}

#[tokio::test]
async fn what_waits_for_the_writer_shows_and_shares_a_commit() {
    let (sqlite, metrics) = measured().await;
    let database = &sqlite.database;
    let (begin, begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel::<()>();
    let mut gate = Some((begin, told));
    let busy = database.write(move |connection| {
        let (begin, told) = gate.take().unwrap();
        begin.send(()).unwrap();
        told.blocking_recv().unwrap();
        Sqlite::add(connection, "first")
    });
    let waiting = async {
        begun.await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(add(database))).collect();
        for write in &mut waiting {
            assert!(poll!(write).is_pending());
        }
        assert_eq!(value(&metrics, "sagamesh_store_queue_depth", &[]), 3.0);
        go_on.send(()).unwrap();
        join_all(waiting).await;
    };
    let (first, _): (Result<(), Error>, ()) = tokio::join!(busy, waiting);
    first.unwrap();
    assert_eq!(value(&metrics, "sagamesh_store_queue_depth", &[]), 0.0);
    assert_eq!(value(&metrics, "sagamesh_store_writes_per_commit_sum", &[]), 4.0);
    assert_eq!(value(&metrics, "sagamesh_store_writes_per_commit_count", &[]), 2.0);
}

#[tokio::test]
async fn connections_that_read_are_in_use_while_they_do() {
    let (sqlite, metrics) = measured().await;
    let in_use = || ["read", "list"].map(|op| value(&metrics, "saga_store_pool_in_use", &of(op)));
    let (begin, begun) = oneshot::channel();
    let (go_on, told) = oneshot::channel::<()>();
    let read = sqlite.database.read(move |_| {
        begin.send(()).unwrap();
        told.blocking_recv().unwrap();
        Ok(())
    });
    let looking = async {
        begun.await.unwrap();
        assert_eq!(in_use(), [1.0, 0.0]);
        go_on.send(()).unwrap();
    };
    let (read, ()): (Result<(), Error>, ()) = tokio::join!(read, looking);
    read.unwrap();
    assert_eq!(in_use(), [0.0, 0.0]);
    let sizes = ["read", "list"].map(|op| value(&metrics, "saga_store_pool_size", &of(op)));
    assert_eq!(sizes, [4.0, 2.0]);
}

#[tokio::test]
async fn who_measures_a_database_does_not_keep_it_open() {
    let (sqlite, metrics) = measured().await;
    assert!(metrics.encode().contains("\nsaga_schema_version{"));
    let mut weak = sqlite.database.downgrade();
    drop(sqlite);
    weak.closed().await;
    assert!(!metrics.encode().contains("\nsaga_schema_version{"), "{}", metrics.encode());
}

struct Pages(Vec<u64>);

impl Expiring for Pages {
    type Error = Error;

    const WHAT: &'static str = "pages of the test";
    const LABEL: &'static str = "pages";

    async fn remove(&mut self, _: Timestamp) -> Result<Batch, Error> {
        let removed = self.0.pop().ok_or(Error::Closed)?;
        Ok(Batch { removed, more: !self.0.is_empty() })
    }
}

#[tokio::test]
async fn what_is_removed_is_counted_and_a_removal_that_fails_is_no_run() {
    let (sqlite, metrics) = measured().await;
    let (clock, time) = Clock::manual(Timestamp(7_000));
    let labels = [("database", "bench"), ("what", "pages")];
    let last_run = "sagamesh_retention_last_run_timestamp_seconds";
    let removal = sqlite.database.removal();
    tokio::spawn(retention::run(clock, Keep::NOTHING, removal, Pages(vec![3, 20])));
    time.advance_to_next().await;
    // It sleeps again, until the next sweep.
    time.advance_to_next().await;
    assert_eq!(value(&metrics, "sagamesh_retention_removed_total", &labels), 23.0);
    let first = value(&metrics, last_run, &labels);
    assert!((7.0..8.0).contains(&first), "{first}");
    time.advance_to_next().await;
    assert_eq!(value(&metrics, last_run, &labels), first, "the next one fails");
}

#[tokio::test]
async fn a_clock_that_jumped_holds_the_removal_as_long_as_is_shown() {
    const DAY: u64 = 86_400_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.db");
    let at = |ms| Clock::manual(Timestamp(ms)).0;
    let first = sqlite::open(&path, &[], &at(100 * DAY)).await.unwrap();
    let probed: Result<(), Error> =
        first.write(|connection| connection.execute("create table a (b)", ()).map(drop)).await;
    probed.unwrap();
    let noted: Result<(), Error> = first
        .write(|connection| connection.execute("insert into a values (1)", ()).map(drop))
        .await;
    noted.unwrap();
    first.close().await;
    drop(first);
    let (clock, time) = Clock::manual(Timestamp(200 * DAY));
    let again = sqlite::open(&path, &[], &clock).await.unwrap();
    let metrics = Registry::new();
    again.measured_by(&metrics, &clock);
    assert_eq!(value(&metrics, "sagamesh_retention_held_seconds", &[]), 86_400.0);
    time.advance(Duration::from_secs(86_000));
    assert_eq!(value(&metrics, "sagamesh_retention_held_seconds", &[]), 400.0);
    time.advance(Duration::from_secs(1_000));
    assert_eq!(value(&metrics, "sagamesh_retention_held_seconds", &[]), 0.0);
}
