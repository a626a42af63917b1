//! Sagas that wait give their tasks back, and go on as if they had kept them.

use std::time::Duration;

use orchestrator::{
    config::{Limits, Sagas},
    driver::Driver,
};
use proto::saga::v1::{
    CancelSagaRequest, EventKind, PauseSagaRequest, ResumeSagaRequest, RetrySagaRequest, SagaState,
    WatchSagaRequest,
};
use tonic::{Code, Status};

use crate::test_driver::{TestDriver, definition};

const STEP: &str = "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    retry: { attempts: 3, base: 10s, cap: 10s }
    undo: work.v1.Work/Undo
    undo_retry: { attempts: unlimited, base: 10s, cap: 10s }
";

/// As many sagas that wait keep their tasks.
fn waiting(max_waiting: usize) -> Limits {
    Limits { sagas: Sagas { max_waiting, ..Sagas::default() }, ..Limits::default() }
}

async fn test_driver(max_waiting: usize) -> TestDriver {
    TestDriver::within(waiting(max_waiting), &[&definition("deadline: 1h", &[STEP])]).await
}

/// Wakes sleepers until the driver stops.
async fn wake(driver: &Driver, test_driver: &TestDriver) {
    let (waking, others) = (driver.clone(), test_driver.time.waiting());
    tokio::spawn(async move { waking.recover().await });
    while test_driver.time.waiting() < others + 2 {
        tokio::task::yield_now().await;
    }
}

async fn kinds(test_driver: &TestDriver, saga_id: &str) -> Vec<EventKind> {
    let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let mut events = test_driver.sagas().watch_saga(request).await.unwrap().into_inner();
    let mut kinds = Vec::new();
    while let Some(event) = events.message().await.unwrap() {
        kinds.push(event.event.unwrap().kind());
    }
    kinds
}

fn due(saga: &proto::saga::v1::Saga) -> u64 {
    let due = saga.steps[0].next_attempt_at.unwrap();
    u64::try_from(due.seconds * 1_000 + i64::from(due.nanos / 1_000_000)).unwrap()
}

#[tokio::test]
async fn a_saga_that_fell_asleep_goes_on_when_it_said_and_nothing_shows_that_it_slept() {
    let mut test_driver = test_driver(0).await;
    wake(test_driver.driver(), &test_driver).await;
    let saga_id = test_driver.start("k").await;
    for _ in 0..2 {
        test_driver.called("freeze forward").await.unavailable();
        test_driver.asleep(&saga_id).await;
        let told = due(&test_driver.get(&saga_id).await);
        test_driver.pass(told - test_driver.clock.now().0 - 1);
        assert_eq!(test_driver.driver().recover_once().await.unwrap(), 0, "it is not due");
        test_driver.pass(1);
    }
    test_driver.called("freeze forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let kinds = kinds(&test_driver, &saga_id).await;
    let answers = kinds.iter().filter(|kind| **kind == EventKind::CallAnswered).count();
    assert_eq!(answers, 3);
    assert!(!kinds.contains(&EventKind::Recovered), "{kinds:?}");
}

#[tokio::test]
async fn the_next_process_leaves_a_saga_asleep_until_it_is_due_and_takes_no_attempt_from_it() {
    let mut test_driver = test_driver(0).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.unavailable();
    test_driver.asleep(&saga_id).await;
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 0, "it is not due");
    test_driver.pass(10_000);
    assert_eq!(next.recover_once().await.unwrap(), 1);
    // Two attempts are left.
    let mut records = next.find(&saga_id).unwrap().records();
    test_driver.called("freeze forward").await.unavailable();
    records.wait_for(|records| *records == 4).await.unwrap();
    test_driver.pass(10_000);
    test_driver.called("freeze forward").await.unavailable();
    test_driver.called("freeze undo").await.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert!(!kinds(&test_driver, &saga_id).await.contains(&EventKind::Recovered));
    next.abort();
}

#[tokio::test]
async fn a_saga_that_was_woken_and_has_a_call_under_way_is_recovered_by_the_next_process() {
    let mut test_driver = test_driver(0).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.unavailable();
    test_driver.asleep(&saga_id).await;
    // Before it is due: the journal must not say that it is asleep while the call is under way.
    let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: "now".to_owned() };
    test_driver.sagas().retry_saga(retry).await.unwrap();
    let _lost = test_driver.called("freeze forward").await;
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("freeze forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    assert!(kinds(&test_driver, &saga_id).await.contains(&EventKind::Recovered));
    next.abort();
}

#[tokio::test]
async fn of_sagas_that_wait_those_keep_their_tasks_that_are_due_first() {
    const SAGAS: usize = 12;
    let mut test_driver = test_driver(5).await;
    let mut ids = Vec::new();
    for number in 0..SAGAS {
        ids.push(test_driver.start(&number.to_string()).await);
        test_driver.next().await.unavailable();
    }
    while test_driver.driver().running() > 5 {
        tokio::task::yield_now().await;
    }
    let mut dues = Vec::new();
    for saga_id in &ids {
        dues.push((
            due(&test_driver.get(saga_id).await),
            test_driver.driver().find(saga_id).is_some(),
        ));
    }
    dues.sort_unstable();
    let last_with_task = dues.iter().rposition(|(_, has_task)| *has_task).unwrap();
    let kept = dues.iter().filter(|(_, has_task)| *has_task).count();
    assert_eq!(kept, 5);
    assert!(dues[last_with_task].0 <= dues[5].0, "{dues:?}");
    // All of them go on in their time.
    wake(test_driver.driver(), &test_driver).await;
    test_driver.pass(10_000);
    for _ in 0..SAGAS {
        test_driver.called("freeze forward").await.done();
    }
    for saga_id in &ids {
        test_driver.stands(saga_id, SagaState::Succeeded).await;
    }
}

#[tokio::test]
async fn a_saga_that_waits_for_a_person_has_no_task_and_every_order_reaches_it() {
    let mut test_driver = test_driver(1_000).await;
    let reason = || "as a person says".to_owned();
    for order in ["retry", "cancel", "resume"] {
        let saga_id = test_driver.start(order).await;
        let call = test_driver.called("freeze forward").await;
        if order == "resume" {
            let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: reason() };
            test_driver.sagas().pause_saga(pause).await.unwrap();
            call.unavailable();
        } else {
            call.say(Err(Status::new(Code::Unimplemented, "not here")));
        }
        test_driver.asleep(&saga_id).await;
        let held = test_driver.get(&saga_id).await;
        let (sagas, id) = (&mut test_driver.sagas(), saga_id.clone());
        let resume = ResumeSagaRequest { saga_id: id.clone(), reason: reason() };
        match order {
            "resume" => assert_eq!(held.state(), SagaState::Paused),
            _ => {
                assert_eq!(held.state(), SagaState::Attention);
                let refused = sagas.resume_saga(resume.clone()).await.unwrap_err();
                assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
                test_driver.asleep(&saga_id).await;
            }
        }
        match order {
            "retry" => {
                sagas.retry_saga(RetrySagaRequest { saga_id: id, reason: reason() }).await.unwrap();
            }
            "cancel" => {
                let cancel = CancelSagaRequest { saga_id: id, reason: reason() };
                sagas.cancel_saga(cancel).await.unwrap();
                test_driver.called("freeze undo").await.done();
                test_driver.stands(&saga_id, SagaState::Compensated).await;
                continue;
            }
            _ => {
                sagas.resume_saga(resume).await.unwrap();
                test_driver.pass(10_000);
            }
        }
        test_driver.called("freeze forward").await.done();
        test_driver.stands(&saga_id, SagaState::Succeeded).await;
    }
    assert_eq!(test_driver.took(), Duration::from_secs(10), "only what was resumed had to wait");
}

#[tokio::test]
async fn an_order_for_a_saga_that_is_unknown_or_has_ended_is_refused_and_leaves_nothing() {
    let mut test_driver = test_driver(0).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    for (saga_id, code) in [(saga_id.as_str(), Code::FailedPrecondition), ("no", Code::NotFound)] {
        let pause =
            PauseSagaRequest { saga_id: saga_id.to_owned(), reason: "a look at it".to_owned() };
        assert_eq!(test_driver.sagas().pause_saga(pause).await.unwrap_err().code(), code);
    }
    while test_driver.driver().running() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_journal_that_people_lengthen_ends_at_its_limit_and_the_saga_can_still_be_ended() {
    let limits =
        Limits { sagas: Sagas { max_records: 6, ..Sagas::default() }, ..Limits::default() };
    let mut test_driver = TestDriver::within(limits, &[&definition("deadline: 1h", &[STEP])]).await;
    let saga_id = test_driver.start("k").await;
    let _under_way = test_driver.called("freeze forward").await;
    let reason = || "again".to_owned();
    let pause = || PauseSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    let resume = || ResumeSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    for _ in 0..2 {
        test_driver.sagas().pause_saga(pause()).await.unwrap();
        test_driver.sagas().resume_saga(resume()).await.unwrap();
    }
    let refused = test_driver.sagas().pause_saga(pause()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("limits.sagas.max_records"), "{refused:?}");
    let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: reason() };
    assert!(test_driver.sagas().retry_saga(retry).await.is_err());
    let cancel = CancelSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    test_driver.sagas().cancel_saga(cancel).await.unwrap();
    drop(_under_way);
}
