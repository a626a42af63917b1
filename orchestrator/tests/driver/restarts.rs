//! A node that stops, and the next one.

use std::time::Duration;

use proto::saga::v1::SagaState;

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

#[tokio::test]
async fn a_saga_that_no_task_runs_is_found_within_five_seconds() {
    let mut test_driver = test_driver().await;
    let next = test_driver.next_driver().await;
    let recovering = tokio::spawn({
        let next = next.clone();
        async move { next.recover().await }
    });
    // Recovery has searched the journal and found nothing.
    while test_driver.time.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let saga_id = test_driver.start("k").await;
    let lost = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    test_driver.time.advance_to_next().await;
    assert_eq!(test_driver.took(), Duration::from_secs(5));
    test_driver.called("freeze forward").await.done();
    assert!(next.find(&saga_id).is_some());
    drop(lost);
    next.abort();
    recovering.await.unwrap();
}

#[tokio::test]
async fn recovery_takes_up_no_saga_that_a_task_runs() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    let before = *test_driver.driver().find(&saga_id).unwrap().records().borrow();
    for _ in 0..3 {
        assert_eq!(test_driver.driver().recover_once().await.unwrap(), 0);
    }
    let after = *test_driver.driver().find(&saga_id).unwrap().records().borrow();
    assert_eq!(after, before, "a recovery was recorded");
    assert!(test_driver.arrivals.try_recv().is_err(), "the call was made again");
    under_way.done();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn a_node_that_stops_records_what_is_answered_in_its_time_and_makes_no_new_call() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let call = test_driver.called("freeze forward").await;
    let (left, ()) = tokio::join!(test_driver.driver().stop(WAIT_TIMEOUT), async {
        test_driver.pass(4_999);
        call.done();
    });
    assert_eq!(left, 0, "nothing is left under way");
    let saga = test_driver.get(&saga_id).await;
    assert_eq!(saga.steps[0].state(), proto::saga::v1::StepState::Done);

    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    next.abort();
}

#[tokio::test]
async fn a_node_that_stops_waits_no_longer_for_answers_than_it_may_and_tells_how_many_are_left() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let call = test_driver.called("freeze forward").await;
    let (left, ()) =
        tokio::join!(test_driver.driver().stop(WAIT_TIMEOUT), test_driver.time.advance_to_next());
    assert_eq!(left, 1);
    assert_eq!(test_driver.took(), WAIT_TIMEOUT);
    assert!(test_driver.driver().is_halted());
    drop(call);
    assert_eq!(test_driver.get(&saga_id).await.state(), SagaState::Running);
}
