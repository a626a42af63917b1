//! A node whose clock stands elsewhere than that of the one before.

use std::time::Duration;

use clock::{Clock, ManualTime, Timestamp};
use orchestrator::{
    config::{Limits, Sagas},
    driver::Driver,
};
use proto::saga::v1::{EventKind, Saga, SagaState, WatchSagaRequest};

use crate::test_driver::{START_TIME, TestDriver, definition};

const STEPS: &str = "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    retry: { base: 10s, cap: 10s, age: 2m }
    undo: work.v1.Work/Undo
";

const DAY: u64 = 86_400_000;

/// A node that keeps no task of a saga that waits.
async fn test_driver() -> TestDriver {
    let sagas = Sagas { max_waiting: 0, ..Sagas::default() };
    let limits = Limits { sagas, ..Limits::default() };
    TestDriver::within(limits, &[&definition("deadline: 2m", &[STEPS])]).await
}

/// The next process, which recovers by a clock that begins at `now`.
async fn next_process(test_driver: &TestDriver, now: Timestamp) -> (Driver, ManualTime) {
    test_driver.driver().abort();
    let (clock, time) = Clock::manual(now);
    let next = test_driver.next_driver_by(clock).await;
    let recovering = next.clone();
    tokio::spawn(async move { recovering.recover().await });
    (next, time)
}

async fn ended(mut test_driver: TestDriver, saga_id: &str) -> (Saga, Vec<EventKind>) {
    test_driver.called("freeze forward").await.done();
    let saga = test_driver.stands(saga_id, SagaState::Succeeded).await;
    let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let mut events = test_driver.sagas().watch_saga(request).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        kinds.push(event.event.unwrap().kind());
    }
    (saga, kinds)
}

#[tokio::test]
async fn a_node_that_comes_back_a_day_later_goes_on_where_the_one_before_stood() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let lost = test_driver.called("freeze forward").await;
    let (next, _time) = next_process(&test_driver, Timestamp(START_TIME.0 + DAY)).await;
    let (_, kinds) = ended(test_driver, &saga_id).await;
    assert!(kinds.contains(&EventKind::Recovered) && !kinds.contains(&EventKind::TurnedBack));
    drop(lost);
    next.abort();
}

#[tokio::test]
async fn a_saga_that_slept_for_a_day_because_no_node_ran_is_not_turned_back_for_it() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.unavailable();
    test_driver.asleep(&saga_id).await;
    let (next, _time) = next_process(&test_driver, Timestamp(START_TIME.0 + DAY)).await;
    let (_, kinds) = ended(test_driver, &saga_id).await;
    assert!(kinds.contains(&EventKind::Woken) && !kinds.contains(&EventKind::TurnedBack));
    assert!(!kinds.contains(&EventKind::Recovered), "nothing was under way");
    next.abort();
}

#[tokio::test]
async fn a_saga_that_fell_asleep_by_a_clock_that_ran_ahead_is_woken_when_its_wait_is_over() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.unavailable();
    test_driver.asleep(&saga_id).await;
    let set_back = Timestamp(START_TIME.0 - 400 * DAY);
    let (next, time) = next_process(&test_driver, set_back).await;
    while next.find(&saga_id).is_none() {
        tokio::task::yield_now().await;
    }
    assert!(test_driver.arrivals.try_recv().is_err(), "its wait is not over");
    time.advance(Duration::from_secs(10));
    let (_, kinds) = ended(test_driver, &saga_id).await;
    assert!(kinds.contains(&EventKind::Woken), "{kinds:?}");
    next.abort();
}
