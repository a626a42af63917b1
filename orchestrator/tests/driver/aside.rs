//! Sagas whose task ended without an end of the saga: taken up again at once, or set aside for a person.

use facade::Trace;
use orchestrator::{driver::OrderError, journal::Unfinished};
use proto::saga::v1::SagaState;
use saga::Status;
use store::Values;

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

/// Changes rows behind the orchestrator's back.
async fn change(
    test_driver: &TestDriver,
    statement: &'static str,
    values: impl Values + Clone + Send + 'static,
) {
    let database = test_driver.journal.database();
    let changed = database.write(move |connection| connection.execute(statement, values.clone()));
    changed.await.unwrap();
}

/// Waits until no task runs the saga.
async fn given_up(test_driver: &TestDriver, saga_id: &str) {
    while test_driver.driver().find(saga_id).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_saga_whose_append_failed_goes_on_as_soon_as_the_journal_can_be_written() {
    let mut test_driver = test_driver().await;
    let driver = test_driver.driver().clone();
    let recovering = tokio::spawn(async move { driver.recover().await });
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    // The record of a recovery holds the id of its node, and is longer than one of an empty answer.
    let trigger = "create trigger full before insert on event
        when length(new.record) < 36 and exists (select 1 from saga where reason_step = 'full')
        begin select raise(abort, 'as the test says'); end";
    change(&test_driver, trigger, ()).await;
    change(&test_driver, "update saga set reason_step = 'full'", ()).await;
    under_way.done();
    let again = test_driver.called("freeze forward").await;
    change(&test_driver, "update saga set reason_step = null", ()).await;
    again.done();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    assert!(test_driver.took().is_zero(), "it was found by the look of every five seconds");
    test_driver.driver().abort();
    recovering.await.unwrap();
}

#[tokio::test]
async fn a_saga_that_cannot_be_read_stands_aside_until_a_person_closes_it() {
    let mut test_driver = test_driver().await;
    let (bad, good) = (test_driver.start("bad").await, test_driver.start("good").await);
    let _under_way = (test_driver.next().await, test_driver.next().await);
    test_driver.driver().abort();
    given_up(&test_driver, &bad).await;
    given_up(&test_driver, &good).await;
    let cut = "update event set link = zeroblob(32) where place =
        (select max(place) from journal where saga_id = ?1)";
    change(&test_driver, cut, (bad.clone(),)).await;

    let next = test_driver.next_driver().await;
    let mut changes = next.changes(&bad);
    assert_eq!(next.recover_once().await.unwrap(), 1, "the good one is taken up");
    changes.next().await;
    let saga = test_driver.stands(&bad, SagaState::Attention).await;
    assert_eq!(saga.reason, "JOURNAL_UNREADABLE");
    assert_eq!(next.find(&good).unwrap().status(), Status::Running);

    assert!(!next.close_aside(&good, "it is well").await.unwrap(), "it stands not aside");
    assert!(next.close_aside(&bad, "it was settled by hand").await.unwrap());
    changes.next().await;
    assert_eq!(test_driver.get(&bad).await.state(), SagaState::Resolved);
    assert!(!next.close_aside(&bad, "once more").await.unwrap(), "it is closed");
    next.abort();
}

#[tokio::test]
async fn a_saga_that_stands_aside_goes_on_by_a_retry_once_its_cause_is_mended() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    given_up(&test_driver, &saga_id).await;
    let records = "place = (select max(place) from journal where saga_id = ?1)";
    let set = [
        format!("create table kept as select link from event where {records}"),
        format!("update event set link = zeroblob(32) where {records}"),
        format!("update event set link = (select link from kept) where {records}"),
    ];
    let [keep, cut, mend] = set.map(|statement| &*statement.leak());
    change(&test_driver, keep, (saga_id.clone(),)).await;
    change(&test_driver, cut, (saga_id.clone(),)).await;

    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 0);
    let aside = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(aside.reason, "JOURNAL_UNREADABLE");
    let early = next.retry(&saga_id, "too early".to_owned(), &Trace::start()).await;
    assert!(matches!(early, Err(OrderError::TaskEnded)), "{early:?}");

    change(&test_driver, mend, (saga_id.clone(),)).await;
    next.retry(&saga_id, "mended".to_owned(), &Trace::start()).await.unwrap();
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let again = next.retry(&saga_id, "once more".to_owned(), &Trace::start()).await;
    assert!(matches!(again, Err(OrderError::TaskEnded)), "it has ended: {again:?}");
    next.abort();
}

#[tokio::test]
async fn a_saga_whose_definition_was_unknown_is_tried_again_at_the_next_start_by_itself() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    given_up(&test_driver, &saga_id).await;
    change(&test_driver, "create table kept as select source from definition", ()).await;
    change(&test_driver, "update definition set source = 'of another version'", ()).await;
    let ignorant = test_driver.next_driver().await;
    assert_eq!(ignorant.recover_once().await.unwrap(), 0);
    let aside = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(aside.reason, "DEFINITION_UNREADABLE");

    let mended = "update definition set source = (select source from kept)";
    change(&test_driver, mended, ()).await;
    let next = test_driver.next_driver().await;
    let recovering = tokio::spawn({
        let next = next.clone();
        async move { next.recover().await }
    });
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    next.abort();
    recovering.await.unwrap();
}

#[tokio::test]
async fn a_saga_whose_row_makes_no_sense_is_set_aside_and_found_once() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    given_up(&test_driver, &saga_id).await;
    change(&test_driver, "update saga set state = 'ASTRAY'", ()).await;
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 0);
    let stored = test_driver.journal.find(&saga_id).await.unwrap().unwrap();
    let unfinished = test_driver.journal.unfinished(&Unfinished::default(), 10).await.unwrap();
    assert_eq!(stored.aside.unwrap().code, "JOURNAL_UNREADABLE");
    assert!(unfinished.is_empty(), "it stands aside: {unfinished:?}");
}
