//! Calls that wait for a participant that may not be called more: they have not been sent, and nothing is lost by it.

use std::{num::NonZero, time::Duration};

use orchestrator::outbound::CallLimits;
use proto::saga::v1::{InLine, PauseSagaRequest, ResumeSagaRequest, Saga, SagaState};
use tonic::Status;

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

const MINUTE: Duration = Duration::from_secs(60);

/// A participant that is sent one call at once.
async fn crowded() -> TestDriver {
    let limits = CallLimits { in_flight: NonZero::<usize>::MIN, rate: None };
    let patient = definition("deadline: 1h", &FREEZE_AND_CHARGE);
    let hurried = definition("deadline: 10s", &FREEZE_AND_CHARGE);
    let hurried = hurried.replace("saga: work", "saga: hurried");
    TestDriver::calling(limits, &[&patient, &hurried]).await
}

/// Waits until a call of the saga stands in line; gives the saga and the place.
async fn in_line(test_driver: &TestDriver, saga_id: &str) -> (Saga, InLine) {
    loop {
        let saga = test_driver.get(saga_id).await;
        if let Some(place) = saga.steps.iter().find_map(|step| step.in_line.clone()) {
            return (saga, place);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_call_in_line_is_shown_with_its_place_and_has_the_whole_of_its_time_when_it_is_sent() {
    let mut test_driver = crowded().await;
    test_driver.start("first").await;
    let first = test_driver.called("freeze forward").await;
    let second = test_driver.start("second").await;
    in_line(&test_driver, &second).await;
    let third = test_driver.start("third").await;
    let (saga, place) = in_line(&test_driver, &third).await;
    assert_eq!((place.position, place.waiting, place.in_flight, place.limit), (2, 2, 1, 1));
    assert_eq!(place.participant, "work.v1.Work");
    assert_eq!(saga.steps[0].attempts, 0, "it has not been sent");
    assert_eq!(
        saga.next,
        "freeze waits in line for work.v1.Work, 2 of 2: 1 calls are under way, 1 may be \
         (participants.work.v1.Work.in_flight: 1)"
    );
    let [line] = &test_driver.driver().participants().lines()[..] else { panic!() };
    assert_eq!((line.0.as_str(), line.1.in_flight, line.1.waiting), ("work.v1.Work", 1, 2));

    test_driver.pass(59_000);
    first.done();
    let of_second = test_driver.called("freeze forward").await;
    assert_eq!(of_second.limit, MINUTE);
    of_second.done();
    let of_third = test_driver.called("freeze forward").await;
    assert_eq!(test_driver.get(&third).await.steps[0].attempts, 1);
    of_third.done();
    for _ in 0..3 {
        test_driver.called("charge forward").await.done();
    }
    test_driver.stands(&third, SagaState::Succeeded).await;
}

#[tokio::test]
async fn an_undo_goes_before_the_calls_that_wait_already() {
    let mut test_driver = crowded().await;
    let turned_back = test_driver.start("a").await;
    test_driver.called("freeze forward").await.done();
    let charge = test_driver.called("charge forward").await;
    let mut waiting = Vec::new();
    for key in ["b", "c", "d"] {
        waiting.push(test_driver.start(key).await);
        in_line(&test_driver, waiting.last().unwrap()).await;
    }
    charge.say(Err(Status::failed_precondition("no")));
    let freeze = test_driver.called("freeze forward").await;
    let (saga, place) = in_line(&test_driver, &turned_back).await;
    assert_eq!((place.position, place.waiting), (1, 3));
    assert!(saga.next.starts_with("freeze (undo) waits in line"), "{}", saga.next);
    freeze.done();
    test_driver.called("freeze undo").await.done();
    test_driver.stands(&turned_back, SagaState::Compensated).await;
}

#[tokio::test]
async fn a_saga_that_reaches_its_deadline_in_line_has_nothing_to_undo() {
    let mut test_driver = crowded().await;
    test_driver.start("patient").await;
    let first = test_driver.called("freeze forward").await;
    let hurried = test_driver.try_start("hurried", "k").await.unwrap();
    in_line(&test_driver, &hurried).await;
    test_driver.pass(9_999);
    in_line(&test_driver, &hurried).await;
    test_driver.pass(1);
    let saga = test_driver.stands(&hurried, SagaState::Compensated).await;
    assert_eq!(saga.reason, "DEADLINE_PASSED");
    assert_eq!(test_driver.driver().participants().under_way("work.v1.Work"), 1, "it has left");
    first.done();
    test_driver.called("charge forward").await.done();
}

#[tokio::test]
async fn a_saga_that_is_paused_leaves_the_line_and_joins_it_again_when_it_is_resumed() {
    let mut test_driver = crowded().await;
    test_driver.start("first").await;
    let first = test_driver.called("freeze forward").await;
    let second = test_driver.start("second").await;
    in_line(&test_driver, &second).await;
    let reason = || "lunch".to_owned();
    let pause = PauseSagaRequest { saga_id: second.clone(), reason: reason() };
    test_driver.sagas().pause_saga(pause).await.unwrap();
    while test_driver.driver().participants().under_way("work.v1.Work") > 1 {
        tokio::task::yield_now().await;
    }
    let third = test_driver.start("third").await;
    in_line(&test_driver, &third).await;
    let resume = ResumeSagaRequest { saga_id: second.clone(), reason: reason() };
    test_driver.sagas().resume_saga(resume).await.unwrap();
    // What was not sent is tried again after its back-off.
    test_driver.pass(1_000);
    let (saga, place) = in_line(&test_driver, &second).await;
    assert_eq!((place.position, place.waiting), (2, 2));
    assert_eq!(saga.steps[0].attempts, 1, "the one that was withdrawn");
    assert!(saga.next.starts_with("freeze waits in line"), "{}", saga.next);
    first.done();
    for _ in 0..5 {
        test_driver.next().await.done();
    }
    test_driver.stands(&second, SagaState::Succeeded).await;
    test_driver.stands(&third, SagaState::Succeeded).await;
}

#[tokio::test]
async fn a_node_that_stops_sends_nothing_of_what_is_in_line() {
    let mut test_driver = crowded().await;
    test_driver.start("first").await;
    let first = test_driver.called("freeze forward").await;
    let second = test_driver.start("second").await;
    in_line(&test_driver, &second).await;
    let stopping = test_driver.driver().stop(MINUTE);
    let (left, ()) = tokio::join!(stopping, async { first.done() });
    assert_eq!(left, 0);
    assert!(test_driver.arrivals.try_recv().is_err(), "nothing more was sent");
}
