//! Responses that the definition takes for a decline.

use proto::saga::v1::{RetrySagaRequest, SagaState, StepState};
use tonic::Status;

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

/// `charge` is declined where its participant says so in the response.
const CHARGE: &str = "
  - step: charge
    call: work.v1.Work/Do
    undo: work.v1.Work/Undo
    declined_if: charge.id.startsWith('rejected')
    reason: CARD_REJECTED
    message: charge.id
    answers: { ALREADY_EXISTS: done }
";

async fn charging() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &[FREEZE_AND_CHARGE[0], CHARGE])).await
}

#[tokio::test]
async fn a_response_that_is_a_decline_turns_the_saga_back_and_has_nothing_to_undo() {
    let mut test_driver = charging().await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.job("rejected: no cover");
    test_driver.called("freeze undo").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert_eq!((&*saga.reason, &*saga.message), ("CARD_REJECTED", "rejected: no cover"));
    assert_eq!(saga.steps[1].state(), StepState::Declined);
}

#[tokio::test]
async fn any_other_response_is_done_and_a_status_that_stands_for_done_is_not_judged() {
    let mut test_driver = charging().await;
    for answer in [Ok(bytes::Bytes::new()), Err(Status::already_exists("as the test says"))] {
        let saga_id = test_driver.start(&format!("{}", answer.is_ok())).await;
        test_driver.called("freeze forward").await.done();
        test_driver.called("charge forward").await.say(answer);
        test_driver.stands(&saga_id, SagaState::Succeeded).await;
    }
    // Over a response that is not there, this condition would hold.
    let charge = CHARGE.replace("charge.id.startsWith('rejected')", "charge.id == ''");
    let mut test_driver = TestDriver::open(&definition("", &[FREEZE_AND_CHARGE[0], &charge])).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    let answer = Err(Status::already_exists("as the test says"));
    test_driver.called("charge forward").await.say(answer);
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn a_decline_behind_the_pivot_needs_a_person() {
    let pivot = format!("{}    pivot: true\n", FREEZE_AND_CHARGE[0]);
    let charge = CHARGE.replace("    undo: work.v1.Work/Undo\n", "");
    let mut test_driver = TestDriver::open(&definition("", &[&pivot, &charge])).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.job("rejected");
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.reason, "CARD_REJECTED");
}

#[tokio::test]
async fn a_response_that_cannot_be_judged_is_neither_done_nor_declined_and_is_judged_again_on_retry()
 {
    let charge = CHARGE.replace("charge.id.startsWith('rejected')", "int(charge.id) < 0");
    let mut test_driver =
        TestDriver::open(&definition("deadline: 1h", &[FREEZE_AND_CHARGE[0], &charge])).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.job("many");
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.reason, "EXPRESSION_FAILED");
    assert!(saga.message.contains("0.yaml:15:18: `int(charge.id) < 0`"), "{}", saga.message);
    let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: "mended".to_owned() };
    test_driver.sagas().retry_saga(retry).await.unwrap();
    test_driver.called("charge forward").await.job("7");
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}

#[tokio::test]
async fn an_undo_that_is_declined_needs_a_person_and_one_with_nothing_to_undo_is_done() {
    let head = "participants: { work.v1.Work: { declined_if: response.id != '', reason: REASON } }";
    for (reason, state) in
        [("TOO_LATE", SagaState::Attention), ("NOTHING_TO_UNDO", SagaState::Compensated)]
    {
        let head = head.replace("REASON", reason);
        let mut test_driver = TestDriver::open(&definition(&head, &FREEZE_AND_CHARGE)).await;
        let saga_id = test_driver.start("k").await;
        test_driver.called("freeze forward").await.done();
        test_driver.called("charge forward").await.job("no");
        test_driver.called("freeze undo").await.job("no");
        let saga = test_driver.stands(&saga_id, state).await;
        assert_eq!(saga.reason, reason);
    }
}

#[tokio::test]
async fn a_saga_that_was_undone_makes_no_reply_of_what_never_came() {
    let served = "serves: work.v1.Front/Order\nkey: \"'k' + request.id\"\ndeadline: 1h\nreply: { amount: int(charge.id) }";
    let steps = [FREEZE_AND_CHARGE[0], CHARGE];
    let mut test_driver = TestDriver::open(&definition(served, &steps)).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(Err(Status::failed_precondition("no cover")));
    test_driver.called("freeze undo").await.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}
