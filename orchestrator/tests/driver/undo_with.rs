//! Undos that are sent the response of their step, where it came.

use proto::saga::v1::{
    ResolveSagaRequest, RetrySagaRequest, SagaState, SkipStepRequest, StepState,
};
use tonic::Status;

use crate::test_driver::{FREEZE_AND_CHARGE, TestDriver, definition};

const RESERVE: &str = "
  - step: reserve
    call: work.v1.Work/Do
    retry: { attempts: 1 }
    undo: work.v1.Work/Undo
    undo_with: { when_known: { id: reserve.id }, when_unknown: UNKNOWN }
";

async fn reserving(when_unknown: &str) -> TestDriver {
    let reserve = RESERVE.replace("UNKNOWN", when_unknown);
    TestDriver::open(&definition("deadline: 1h", &[&reserve, FREEZE_AND_CHARGE[1]])).await
}

fn refused() -> Result<bytes::Bytes, Status> {
    Err(Status::failed_precondition("as the test says"))
}

#[tokio::test]
async fn an_undo_is_sent_the_number_that_its_call_gave() {
    let mut test_driver = reserving("attention").await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("reserve forward").await.job("no. 7");
    test_driver.called("charge forward").await.say(refused());
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "no. 7");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn an_undo_whose_call_was_not_answered_is_sent_what_stands_for_the_response() {
    let mut test_driver = reserving("{ id: \"'by guest'\" }").await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("reserve forward").await.unavailable();
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "by guest");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn an_undo_without_anything_to_send_needs_a_person_who_skips_it_or_resolves_the_saga() {
    for is_skipped in [true, false] {
        let mut test_driver = reserving("attention").await;
        let saga_id = test_driver.start("k").await;
        test_driver.called("reserve forward").await.unavailable();
        let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
        assert_eq!(saga.reason, "RESPONSE_UNKNOWN");
        assert!(saga.message.contains("the call may have taken effect"), "{}", saga.message);

        let (saga_id, reason) = (saga_id, "looked it up".to_owned());
        let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: reason.clone() };
        test_driver.sagas().retry_saga(retry).await.unwrap();
        let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
        assert_eq!(saga.reason, "RESPONSE_UNKNOWN", "a retry finds out nothing new");
        assert!(test_driver.arrivals.try_recv().is_err(), "nothing is sent");
        if is_skipped {
            let step = "reserve".to_owned();
            let skip = SkipStepRequest { saga_id: saga_id.clone(), step, reason };
            test_driver.sagas().skip_step(skip).await.unwrap();
            test_driver.stands(&saga_id, SagaState::Compensated).await;
        } else {
            let resolve = ResolveSagaRequest { saga_id: saga_id.clone(), reason };
            test_driver.sagas().resolve_saga(resolve).await.unwrap();
            test_driver.stands(&saga_id, SagaState::Resolved).await;
        }
    }
}

/// The node dies while the call is under way, so nobody has its response; and once more before the undo is answered.
#[tokio::test]
async fn a_response_that_died_with_its_node_is_unknown_and_one_on_disk_is_not() {
    let mut test_driver = reserving("{ id: \"'by guest'\" }").await;
    let saga_id = test_driver.start("k").await;
    let lost = test_driver.called("reserve forward").await;
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("reserve forward").await.unavailable();
    assert_eq!(test_driver.called("reserve undo").await.id, "by guest");
    next.abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "by guest", "the same key is the same request");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
    drop(lost);
    next.abort();

    let mut test_driver = reserving("{ id: \"'by guest'\" }").await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("reserve forward").await.job("no. 7");
    let lost = test_driver.called("charge forward").await;
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("charge forward").await.say(refused());
    let mut undo = test_driver.next().await;
    if undo.call == "charge undo" {
        undo.done();
        undo = test_driver.next().await;
    }
    assert_eq!((&*undo.call, &*undo.id), ("reserve undo", "no. 7"));
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
    drop(lost);
    next.abort();
}

/// Where the response of `reserve` never came, the participant is asked for it.
const LOOKUP: &str = "{ lookup: { call: work.v1.Work/Find, with: { id: saga.key }, found: lookup.id != 'none' }, with: { id: lookup.id } }";

/// A saga whose `reserve` was not answered, and which asks what came of it as soon as that can be told.
async fn looking_up() -> (TestDriver, String) {
    let mut test_driver = reserving(LOOKUP).await;
    let saga_id = test_driver.start("guest").await;
    test_driver.called("reserve forward").await.unavailable();
    test_driver.stands(&saga_id, SagaState::Compensating).await;
    assert!(test_driver.arrivals.try_recv().is_err(), "the call may be under way still");
    test_driver.pass(5_000);
    (test_driver, saga_id)
}

#[tokio::test]
async fn a_lookup_finds_what_the_undo_is_sent_and_has_no_key() {
    let (mut test_driver, saga_id) = looking_up().await;
    let lookup = test_driver.called("lookup").await;
    assert_eq!(lookup.id, "guest");
    for name in ["saga-id", "saga-step", "saga-direction", "idempotency-key"] {
        assert!(!lookup.metadata.contains_key(name), "{name}");
    }
    lookup.job("no. 7");
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "no. 7");
    assert_eq!(undo.metadata.get("saga-attempt").unwrap(), "1");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn a_lookup_above_the_limit_that_the_definition_states_is_not_sent_and_needs_a_person() {
    for (key, is_sent) in [("12", true), ("123", false)] {
        let reserve = RESERVE.replace("UNKNOWN", LOOKUP) + "    max_request: 4B\n";
        let steps = [reserve.as_str(), FREEZE_AND_CHARGE[1]];
        let mut test_driver = TestDriver::open(&definition("deadline: 1h", &steps)).await;
        let saga_id = test_driver.start(key).await;
        test_driver.called("reserve forward").await.unavailable();
        if is_sent {
            test_driver.stands(&saga_id, SagaState::Compensating).await;
            test_driver.pass(5_000);
            test_driver.called("lookup").await.job("none");
            test_driver.stands(&saga_id, SagaState::Compensated).await;
            continue;
        }
        let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
        assert_eq!(saga.reason, "MESSAGE_TOO_LARGE");
        let told = "the request of the lookup of reserve has 5 bytes, and its participant takes 4";
        assert!(saga.message.starts_with(told), "{}", saga.message);
        test_driver.pass(5_000);
        assert!(test_driver.arrivals.try_recv().is_err(), "nothing is sent");
    }
}

#[tokio::test]
async fn a_lookup_that_finds_nothing_leaves_nothing_to_undo() {
    for answer in ["none", "NOT_FOUND"] {
        let (mut test_driver, saga_id) = looking_up().await;
        let lookup = test_driver.called("lookup").await;
        match answer {
            "none" => lookup.job("none"),
            _ => lookup.say(Err(Status::not_found("no such guest"))),
        }
        let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
        assert!(test_driver.arrivals.try_recv().is_err(), "{answer}");
        assert_eq!(saga.steps[0].state(), StepState::Undone, "{answer}");
    }
}

#[tokio::test]
async fn a_lookup_is_asked_again_until_it_is_answered_and_needs_a_person_where_it_is_refused() {
    let (mut test_driver, saga_id) = looking_up().await;
    test_driver.called("lookup").await.unavailable();
    // The start, the call and its answer, the turning back, the lookup and its answer.
    test_driver.recorded(&saga_id, 6).await;
    test_driver.pass(100);
    test_driver.called("lookup").await.say(refused());
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.reason, "FAILED_PRECONDITION");
    let retry = RetrySagaRequest { saga_id: saga_id.clone(), reason: "mended".to_owned() };
    test_driver.sagas().retry_saga(retry).await.unwrap();
    test_driver.called("lookup").await.job("no. 7");
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "no. 7");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}

#[tokio::test]
async fn a_node_that_dies_in_a_lookup_or_behind_it_is_followed_by_one_that_goes_on_from_there() {
    let (mut test_driver, saga_id) = looking_up().await;
    let lost = test_driver.called("lookup").await;
    test_driver.driver().abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    test_driver.called("lookup").await.job("no. 7");
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "no. 7");
    next.abort();
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    let again = test_driver.called("reserve undo").await;
    assert_eq!(again.id, "no. 7", "what was found is on disk");
    again.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
    drop((lost, undo));
    next.abort();
}

#[tokio::test]
async fn nothing_is_looked_up_where_the_response_came() {
    let mut test_driver = reserving(LOOKUP).await;
    let saga_id = test_driver.start("guest").await;
    test_driver.called("reserve forward").await.job("no. 8");
    test_driver.called("charge forward").await.say(refused());
    let undo = test_driver.called("reserve undo").await;
    assert_eq!(undo.id, "no. 8");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}
