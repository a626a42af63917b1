//! A node that stops, and the next one.

use std::time::Duration;

use proto::saga::v1::SagaState;

use crate::stand::{FREEZE_AND_CHARGE, Stand, definition};

const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

async fn stand() -> Stand {
    Stand::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await
}

#[tokio::test]
async fn a_saga_that_no_task_runs_is_found_within_five_seconds() {
    let mut stand = stand().await;
    let next = stand.next_driver().await;
    let recovering = tokio::spawn({
        let next = next.clone();
        async move { next.recover().await }
    });
    // It has looked, and found nothing.
    while stand.time.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let saga_id = stand.start("k").await;
    let lost = stand.called("freeze forward").await;
    stand.driver().abort();
    stand.time.advance_to_next().await;
    assert_eq!(stand.took(), Duration::from_secs(5));
    stand.called("freeze forward").await.done();
    assert!(next.find(&saga_id).is_some());
    drop(lost);
    next.abort();
    recovering.await.unwrap();
}

#[tokio::test]
async fn a_node_that_stops_records_what_is_answered_in_its_time_and_makes_no_new_call() {
    let mut stand = stand().await;
    let saga_id = stand.start("k").await;
    let call = stand.called("freeze forward").await;
    let (left, ()) = tokio::join!(stand.driver().stop(WAIT_TIMEOUT), async {
        stand.pass(4_999);
        call.done();
    });
    assert_eq!(left, 0, "nothing is left under way");
    let saga = stand.get(&saga_id).await;
    assert_eq!(saga.steps[0].state(), proto::saga::v1::StepState::Done);

    let next = stand.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    stand.called("charge forward").await.done();
    stand.stands(&saga_id, SagaState::Succeeded).await;
    next.abort();
}

#[tokio::test]
async fn a_node_that_stops_waits_no_longer_for_answers_than_it_may_and_tells_how_many_are_left() {
    let mut stand = stand().await;
    let saga_id = stand.start("k").await;
    let call = stand.called("freeze forward").await;
    let (left, ()) = tokio::join!(stand.driver().stop(WAIT_TIMEOUT), stand.time.advance_to_next());
    assert_eq!(left, 1);
    assert_eq!(stand.took(), WAIT_TIMEOUT);
    assert!(stand.driver().is_halted());
    drop(call);
    assert_eq!(stand.get(&saga_id).await.state(), SagaState::Running);
}
