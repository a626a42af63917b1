//! What a person orders reaches the saga's task, and is on disk when it is answered.

use proto::saga::v1::{PauseSagaRequest, ResumeSagaRequest, SagaState, WatchSagaRequest};

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

#[tokio::test]
async fn a_saga_that_is_paused_under_way_makes_no_next_call_until_it_is_resumed() {
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await;
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: "a look at it".to_owned() };
    test_driver.sagas().pause_saga(pause).await.unwrap();
    assert_eq!(test_driver.get(&saga_id).await.state(), SagaState::Paused, "it is on disk");

    let handle = test_driver.driver().find(&saga_id).unwrap();
    let before = *handle.records().borrow();
    under_way.done();
    test_driver.recorded(&saga_id, before + 1).await;
    assert_eq!(test_driver.get(&saga_id).await.state(), SagaState::Paused);
    assert!(test_driver.arrivals.try_recv().is_err(), "the next step was called");

    let resume = ResumeSagaRequest { saga_id: saga_id.clone(), reason: "it is well".to_owned() };
    test_driver.sagas().resume_saga(resume).await.unwrap();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn an_order_for_a_saga_whose_task_cannot_write_it_is_not_said_to_be_carried_out() {
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    test_driver.journal.database().close().await;
    let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: "a look at it".to_owned() };
    let refused = test_driver.sagas().pause_saga(pause).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    // Its task has ended: only the journal can tell where it stands.
    while test_driver.driver().find(&saga_id).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_looks_at_a_saga_sees_what_was_ordered_before_however_long_its_journal_is() {
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &FREEZE_AND_CHARGE)).await;
    let saga_id = test_driver.start("k").await;
    let under_way = test_driver.called("freeze forward").await;
    let reason = || "again and again".to_owned();
    for number in 0..200 {
        let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: reason() };
        let resume = ResumeSagaRequest { saga_id: saga_id.clone(), reason: reason() };
        test_driver.sagas().pause_saga(pause).await.unwrap();
        let looks = (0..5).map(|_| test_driver.get(&saga_id));
        let seen = futures::future::join_all(looks).await;
        assert!(seen.iter().all(|saga| saga.state() == SagaState::Paused), "{number}");
        test_driver.sagas().resume_saga(resume).await.unwrap();
        assert_eq!(test_driver.get(&saga_id).await.state(), SagaState::Running, "{number}");
    }
    let request = WatchSagaRequest { saga_id: saga_id.clone(), after_seq: 10 };
    let mut events = test_driver.sagas().watch_saga(request).await.unwrap().into_inner();
    under_way.done();
    test_driver.called("charge forward").await.done();
    let mut seen = 10;
    while let Some(event) = events.message().await.unwrap() {
        seen += 1;
        assert_eq!(event.event.unwrap().seq, seen, "each is told once, in order");
    }
    // The start, two calls with their answers, the end, and what was ordered.
    assert_eq!(seen, 6 + 400);
}
