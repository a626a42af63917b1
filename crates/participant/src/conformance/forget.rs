//! Rows are kept for so long and no longer, and no delivery takes effect twice for it.

use std::time::Duration;

use clock::{Clock, ManualTime, Timestamp};
use store::retention::Keep;

use crate::{
    conformance::{
        TestStore,
        service::{
            CALL, REQUEST, TestService, UNDO, again, answered, effect, never, never_undo, undoing,
            undone,
        },
    },
    decision::{Answered, Decision},
    forget::remove_old_rows,
    inbox::{Error, Inbox},
    key::{Direction, Key},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A service that keeps its inbox's rows for a day.
fn service<B: TestStore>(test_store: &B) -> (TestService, ManualTime) {
    let (clock, time) = Clock::manual(NOW);
    let day: Keep = "1d".parse().expect("a duration");
    tokio::spawn(remove_old_rows(test_store.database(), &clock, day));
    (TestService::with(Inbox::new(test_store.database().clone(), clock).keeping(Some(day))), time)
}

/// The key of the step `freeze` of a saga that began so long before [`NOW`].
fn key(ago: Duration, direction: Direction) -> Key {
    let ago = u64::try_from(ago.as_millis()).expect("an instant after 1970");
    began_at(Timestamp(NOW.0 - ago), direction)
}

/// The key of the step `freeze` of a saga that began then.
fn began_at(began: Timestamp, direction: Direction) -> Key {
    // The instant, the version, and the variant; nothing else is read of such an id.
    let saga_id = format!("{:08x}-{:04x}-7000-8000-00000000000a", began.0 >> 16, began.0 & 0xffff);
    Key::step(&saga_id, "freeze", direction).expect("the cases' names fit a key")
}

async fn call<B: TestStore>(
    service: &TestService,
    key: &Key,
    label: &str,
) -> Result<Answered, Error> {
    service.call_as(key.clone(), CALL, REQUEST, effect::<B>(label, "done")).await
}

fn assert_forgotten(delivered: &Result<Answered, Error>) {
    assert!(matches!(delivered, Err(Error::Forgotten { .. })), "{delivered:?}");
}

/// Calls and undos of a saga that is older than a day, with no row: one may have been forgotten. At a day it is served.
pub async fn a_delivery_of_a_saga_that_may_be_forgotten_is_refused_and_leaves_nothing<
    B: TestStore,
>(
    test_store: &B,
) {
    let (service, _hands) = service(test_store);
    let old = DAY + Duration::from_millis(1);
    for _ in 0..2 {
        assert_forgotten(&call::<B>(&service, &key(old, Direction::Forward), "old").await);
        let undo = key(old, Direction::Undo);
        let undo = service.undo_as(undo, UNDO, REQUEST, never_undo()).await;
        assert_forgotten(&undo);
    }
    assert!(!answered(call::<B>(&service, &key(DAY, Direction::Forward), "young").await).repeated);
    let undo = key(DAY - Duration::from_millis(1), Direction::Undo);
    let undo = service.undo_as(undo, UNDO, REQUEST, never_undo()).await;
    assert_eq!(answered(undo).outcome, Decision::NothingToUndo);
    assert_eq!((test_store.count("old").await, test_store.count("young").await), (0, 1));
}

/// Nothing is guessed while the rows are there: repeats are answered, and an undo undoes.
pub async fn what_is_still_kept_is_answered_by_however_old_its_saga_is<B: TestStore>(
    test_store: &B,
) {
    let (service, time) = service(test_store);
    let (forward, undo) = (key(DAY / 2, Direction::Forward), key(DAY / 2, Direction::Undo));
    let first = answered(call::<B>(&service, &forward, "call").await);
    time.advance(DAY / 2 + Duration::from_secs(60));
    let repeat = service.call_as(forward, CALL, REQUEST, never()).await;
    assert_eq!(answered(repeat), again(&first));
    let undo = service.undo_as(undo, UNDO, REQUEST, undoing::<B>("undo")).await;
    assert_eq!(answered(undo).outcome, Decision::Done(undone(b"done")));
    assert_eq!((test_store.count("call").await, test_store.count("undo").await), (1, 1));
}

/// More rows than one batch removes, of sagas and of requests, between rows that stay: younger ones, and those of sagas
/// that do not tell their age. Whatever is gone is refused, and at no time does a saga's call take effect again.
pub async fn old_rows_are_removed_and_no_call_takes_effect_again<B: TestStore>(test_store: &B) {
    const OLD_ROWS: u32 = 130;
    const MINUTE: Duration = Duration::from_secs(60);
    let (service, time) = service(test_store);
    let old: Vec<Key> = (0..OLD_ROWS).map(|ago| key(MINUTE * ago, Direction::Forward)).collect();
    let request = |number: u32| Key::request(CALL, &format!("request-{number}"));
    let requests: Vec<Key> = (0..OLD_ROWS).map(request).collect();
    let untold = ["0", "saga-1"].map(|id| Key::step(id, "freeze", Direction::Forward));
    let mut stay: Vec<Key> = untold.into_iter().flatten().collect();
    for (label, keys) in [("old", &old), ("request", &requests), ("untold", &stay)] {
        for key in keys {
            answered(call::<B>(&service, key, label).await);
        }
    }
    let later = DAY + 2 * 60 * MINUTE;
    time.advance(later);
    stay.push(began_at(NOW.after(later), Direction::Forward));
    answered(call::<B>(&service, &stay[2], "young").await);

    // What removes them waits by the same clock: with each look a while goes by. The youngest goes last.
    while call::<B>(&service, &old[0], "old").await.is_ok() {
        time.advance(MINUTE);
    }
    for key in &old {
        assert_forgotten(&call::<B>(&service, key, "old").await);
    }
    assert_eq!(test_store.count("old").await, i64::from(OLD_ROWS));
    for key in stay {
        let kept = service.call_as(key.clone(), CALL, REQUEST, never()).await;
        assert!(answered(kept).repeated, "{key}");
    }
    // The id of a request outside a saga does not tell its age: a repeat after the removal counts as a new request.
    while answered(call::<B>(&service, &request(OLD_ROWS - 1), "again").await).repeated {
        time.advance(MINUTE);
    }
    assert_eq!(test_store.count("again").await, 1);
}
