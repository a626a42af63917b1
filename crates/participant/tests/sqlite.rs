//! SQLite against the conformance suite of the inbox, and what only a file can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod test_store;

use std::time::Duration;

use clock::{Clock, Timestamp};
use participant::{
    Answered, Delivery, Direction, Inbox, Key, conformance::TestStore, inbox::Error,
    remove_old_rows,
};
use store::{Database, retention::Keep};

participant::conformance!(test_store::Sqlite);

async fn pages(database: &Database) -> i64 {
    let count = database
        .read(|connection| connection.one("pragma page_count", (), |row| row.get::<i64>(0)));
    let count: Result<i64, store::Error> = count.await;
    count.unwrap()
}

async fn deliver(inbox: &Inbox, key: &Key) -> Result<Answered, Error> {
    let delivery = Delivery {
        key: key.clone(),
        method: "shop.v1.Stock/Freeze",
        request: b"three of sku 1",
        trace_id: "",
    };
    inbox.call(delivery, |_| Ok(vec![0; 400].into())).await
}

#[tokio::test]
async fn the_file_stops_growing_where_old_rows_are_removed() {
    const DAYS: u64 = 6;
    let test_store = test_store::Sqlite::open().await;
    let (clock, time) = Clock::manual(Timestamp(1_700_000_000_000));
    let day: Keep = "1d".parse().unwrap();
    tokio::spawn(remove_old_rows(test_store.database(), &clock, day));
    let inbox = Inbox::new(test_store.database().clone(), clock.clone()).keeping(Some(day));
    let mut grown = Vec::new();
    for _ in 0..DAYS {
        let began = clock.now().0;
        let key = |number: u64| {
            let saga_id =
                format!("{:08x}-{:04x}-7000-8000-{number:012x}", began >> 16, began & 0xffff);
            Key::step(&saga_id, "freeze", Direction::Forward).unwrap()
        };
        for number in 0..300 {
            deliver(&inbox, &key(number)).await.unwrap();
        }
        grown.push(pages(test_store.database()).await);
        time.advance(Duration::from_hours(26));
        // The rows of one instant go in the order of their keys. What removes them waits by the same clock.
        let mut looks = 0;
        while deliver(&inbox, &key(299)).await.is_ok() {
            looks += 1;
            assert!(looks < 10_000, "the old rows stay");
            time.advance(Duration::from_mins(1));
        }
    }
    assert!(grown[0] > 40, "{grown:?}");
    // The number of pages may differ by one or two, as the rows are placed.
    assert!(grown.iter().all(|pages| *pages <= grown[0] + grown[0] / 10), "{grown:?}");
}
