//! How long an attempt may take: a step's own time limit, cut off at the saga's deadline while there is a way back.

use std::time::Duration;

use proto::saga::v1::{PauseSagaRequest, ResumeSagaRequest, SagaState};

use crate::stand::{Stand, definition};

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
    let mut stand = Stand::open(&definition(TEN_SECONDS, &[FREEZE])).await;
    stand.pass(500);
    let saga_id = stand.start("k").await;
    let call = stand.called("freeze forward").await;
    assert_eq!(call.limit, seconds(10), "the deadline runs from the saga's start");
    stand.pass(9_999);
    assert_eq!(stand.get(&saga_id).await.state(), SagaState::Running);
    stand.pass(1);
    let undo = stand.called("freeze undo").await;
    assert_eq!(undo.limit, MINUTE);
    let saga = stand.get(&saga_id).await;
    assert_eq!(saga.reason, "DEADLINE_PASSED", "{saga:?}");
    stand.pass(59_999);
    undo.done();
    stand.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn an_attempt_that_has_the_time_keeps_to_the_limit_of_its_step_in_both_directions() {
    let short = FREEZE.replace("60s", "2s");
    let once = "    retry: { attempts: 1 }\n    undo_retry: { base: 1s, cap: 1s }\n";
    let mut stand = Stand::open(&definition(TEN_SECONDS, &[&short, once])).await;
    let saga_id = stand.start("k").await;
    let call = stand.called("freeze forward").await;
    assert_eq!(call.limit, seconds(2));
    stand.pass(2_000);
    let undo = stand.called("freeze undo").await;
    assert_eq!((undo.limit, stand.took()), (seconds(2), seconds(2)));
    stand.pass(2_000);
    // Between half and the whole of a second.
    stand.recorded(&saga_id, 6).await;
    stand.pass(1_000);
    let again = stand.called("freeze undo").await;
    assert_eq!((again.limit, stand.took()), (seconds(2), seconds(5)));
}

#[tokio::test]
async fn behind_the_pivot_a_call_has_the_whole_of_its_own_limit_also_beyond_the_deadline() {
    let mut stand = Stand::open(&definition(TEN_SECONDS, &[CHARGE, CONFIRM])).await;
    let saga_id = stand.start("k").await;
    stand.called("charge forward").await.done();
    let confirm = stand.called("confirm forward").await;
    assert_eq!(confirm.limit, MINUTE);
    stand.pass(59_999);
    confirm.done();
    stand.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn a_pivot_without_an_undo_has_the_whole_of_its_own_limit_and_one_with_an_undo_has_not() {
    for (undo, limit) in [("", MINUTE), ("    undo: work.v1.Work/Undo\n", seconds(10))] {
        let mut stand = Stand::open(&definition(TEN_SECONDS, &[CHARGE, undo])).await;
        stand.start("k").await;
        assert_eq!(stand.called("charge forward").await.limit, limit, "{undo}");
    }
}

#[tokio::test]
async fn a_call_that_begins_right_before_the_deadline_gets_a_tenth_of_a_second() {
    let second = FREEZE.replace("freeze", "second");
    let mut stand = Stand::open(&definition(TEN_SECONDS, &[FREEZE, &second])).await;
    let saga_id = stand.start("k").await;
    let first = stand.called("freeze forward").await;
    stand.pass(9_960);
    first.done();
    let second = stand.called("second forward").await;
    assert_eq!(second.limit, Duration::from_millis(100));
    stand.pass(40);
    let saga = stand.stands(&saga_id, SagaState::Compensating).await;
    assert_eq!(saga.reason, "DEADLINE_PASSED", "{saga:?}");
    second.done();
    stand.called("second undo").await.done();
    stand.called("freeze undo").await.done();
    stand.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn the_time_of_a_pause_is_given_back_to_the_calls_after_it() {
    let second = FREEZE.replace("freeze", "second");
    let mut stand = Stand::open(&definition(TEN_SECONDS, &[FREEZE, &second])).await;
    let saga_id = stand.start("k").await;
    let first = stand.called("freeze forward").await;
    stand.pass(2_000);
    let reason = || "lunch".to_owned();
    let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    stand.sagas().pause_saga(pause).await.unwrap();
    first.done();
    stand.recorded(&saga_id, 4).await;
    stand.pass(3_600_000);
    let resume = ResumeSagaRequest { saga_id: saga_id.clone(), reason: reason() };
    stand.sagas().resume_saga(resume).await.unwrap();
    assert_eq!(stand.called("second forward").await.limit, seconds(8));
}
