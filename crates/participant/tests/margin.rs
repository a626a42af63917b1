//! How much longer a row is there than it is answered for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod test_store;

use std::time::Duration;

use clock::{Clock, ManualTime, Timestamp};
use participant::{Delivery, Direction, Inbox, Key, conformance::TestStore, remove_old_rows};
use store::{Database, retention::Keep};

const BEGAN: Timestamp = Timestamp(1_700_000_000_000);

async fn rows(database: &Database) -> i64 {
    let count = database.read(|connection| {
        connection.one("select count(*) from inbox", (), |row| row.get::<i64>(0))
    });
    let count: Result<i64, store::Error> = count.await;
    count.unwrap()
}

/// Waits until what removes rows has looked, and waits for its next look.
async fn looked(time: &ManualTime) {
    while time.waiting() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_row_stays_for_an_hour_after_its_key_is_refused_so_that_a_clock_may_be_set_back() {
    let test_store = test_store::Sqlite::open().await;
    let (clock, time) = Clock::manual(BEGAN);
    let day: Keep = "1d".parse().unwrap();
    tokio::spawn(remove_old_rows(&test_store.database, &clock, day));
    let inbox = Inbox::new(test_store.database.clone(), clock).keeping(Some(day));
    let saga_id = format!("{:08x}-{:04x}-7000-8000-000000000001", BEGAN.0 >> 16, BEGAN.0 & 0xffff);
    let step = Key::step(&saga_id, "freeze", Direction::Forward).unwrap();
    for key in [step, Key::request("shop.v1.Stock/Add", "r-1")] {
        let delivery =
            Delivery { key, method: "shop.v1.Stock/Freeze", request: b"three", trace_id: "" };
        inbox.call(delivery, |_| Ok(vec![0].into())).await.unwrap();
    }
    for (passed, left) in [(Duration::from_mins(24 * 60 + 59), 2), (Duration::from_mins(2), 0)] {
        time.advance(passed);
        looked(&time).await;
        assert_eq!(rows(&test_store.database).await, left, "{passed:?}");
    }
}
