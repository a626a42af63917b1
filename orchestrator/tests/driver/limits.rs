//! How long an attempt may take: a step's own time limit, cut off at the saga's deadline while there is a way back.

use std::time::Duration;

use proto::saga::v1::{PauseSagaRequest, ResumeSagaRequest, SagaState};

use crate::test_driver::{TestDriver, definition};

const FREEZE: &str = "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    undo: work.v1.Work/Undo
";
const CHARGE: &str = "
  - step: charge
    call: work.v1.Work/Do
    timeout: 60s
    pivot: true
";
const CONFIRM: &str = "
  - step: confirm
    call: work.v1.Work/Do
    timeout: 60s
";
const TEN_SECONDS: &str = "deadline: 10s";
const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn a_call_is_cut_off_at_the_deadline_of_its_saga_and_its_undo_has_the_whole_time_limit() {
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[FREEZE])).await;
    test_driver.pass(500);
    let saga_id = test_driver.start("k").await;
    let call = test_driver.called("freeze forward").await;
    assert_eq!(call.limit, seconds(10), "the deadline runs from the saga's start");
    test_driver.pass(9_999);
    assert_eq!(test_driver.get(&saga_id).await.state(), SagaState::Running);
    test_driver.pass(1);
    let undo = test_driver.called("freeze undo").await;
    assert_eq!(undo.limit, MINUTE);
    let saga = test_driver.get(&saga_id).await;
    assert_eq!(saga.reason, "DEADLINE_PASSED", "{saga:?}");
    test_driver.pass(59_999);
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn an_attempt_that_has_the_time_keeps_to_the_limit_of_its_step_in_both_directions() {
    let short = FREEZE.replace("60s", "2s");
    let once = "    retry: { attempts: 1 }\n    undo_retry: { base: 1s, cap: 1s }\n";
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[&short, once])).await;
    let saga_id = test_driver.start("k").await;
    let call = test_driver.called("freeze forward").await;
    assert_eq!(call.limit, seconds(2));
    test_driver.pass(2_000);
    let undo = test_driver.called("freeze undo").await;
    assert_eq!((undo.limit, test_driver.took()), (seconds(2), seconds(2)));
    test_driver.pass(2_000);
    // The back-off is between half a second and a second.
    test_driver.recorded(&saga_id, 6).await;
    test_driver.pass(1_000);
    let again = test_driver.called("freeze undo").await;
    assert_eq!((again.limit, test_driver.took()), (seconds(2), seconds(5)));
}

#[tokio::test]
async fn behind_the_pivot_a_call_has_the_whole_of_its_own_limit_also_beyond_the_deadline() {
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[CHARGE, CONFIRM])).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("charge forward").await.done();
    let confirm = test_driver.called("confirm forward").await;
    assert_eq!(confirm.limit, MINUTE);
    test_driver.pass(59_999);
    confirm.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn behind_the_pivot_a_call_is_sent_again_also_beyond_the_deadline() {
    let retry = "    retry: { base: 20s, cap: 20s }\n";
    let steps = [CHARGE, CONFIRM, retry];
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &steps)).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("charge forward").await.done();
    let confirm = test_driver.called("confirm forward").await;
    test_driver.pass(9_000);
    confirm.unavailable();
    // Start, two intents, two answers.
    test_driver.recorded(&saga_id, 5).await;
    test_driver.pass(20_000);
    test_driver.called("confirm forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn a_pivot_without_an_undo_has_the_whole_of_its_own_limit_and_one_with_an_undo_has_not() {
    for (undo, limit) in [("", MINUTE), ("    undo: work.v1.Work/Undo\n", seconds(10))] {
        let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[CHARGE, undo])).await;
        test_driver.start("k").await;
        assert_eq!(test_driver.called("charge forward").await.limit, limit, "{undo}");
    }
}

#[tokio::test]
async fn a_call_that_begins_right_before_the_deadline_gets_a_tenth_of_a_second() {
    let second = FREEZE.replace("freeze", "second");
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[FREEZE, &second])).await;
    let saga_id = test_driver.start("k").await;
    let first = test_driver.called("freeze forward").await;
    test_driver.pass(9_960);
    first.done();
    let second = test_driver.called("second forward").await;
    assert_eq!(second.limit, Duration::from_millis(100));
    test_driver.pass(40);
    let saga = test_driver.stands(&saga_id, SagaState::Compensating).await;
    assert_eq!(saga.reason, "DEADLINE_PASSED", "{saga:?}");
    second.done();
    test_driver.called("second undo").await.done();
    test_driver.called("freeze undo").await.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn the_time_of_a_pause_is_given_back_to_the_calls_after_it() {
    let second = FREEZE.replace("freeze", "second");
    let mut test_driver = TestDriver::open(&definition(TEN_SECONDS, &[FREEZE, &second])).await;
    let saga_id = test_driver.start("k").await;
    let first = test_driver.called("freeze forward").await;
    test_driver.pass(2_000);
    let reason = || "lunch".to_owned();
    let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    test_driver.sagas().pause_saga(pause).await.unwrap();
    first.done();
    test_driver.recorded(&saga_id, 4).await;
    test_driver.pass(3_600_000);
    let resume = ResumeSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    test_driver.sagas().resume_saga(resume).await.unwrap();
    assert_eq!(test_driver.called("second forward").await.limit, seconds(8));
}
