//! When an attempt is made again.

use std::{collections::BTreeSet, time::Duration};

use proto::saga::v1::SagaState;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::test_driver::{FREEZE_AND_CHARGE, START_TIME, TestDriver, definition};

const STEP: &str = "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    retry: { attempts: 2, base: 10s, cap: 10s }
    undo: work.v1.Work/Undo
    undo_retry: { attempts: unlimited, base: 10s, cap: 10s }
";

async fn test_driver() -> TestDriver {
    TestDriver::open(&definition("deadline: 1h", &[STEP])).await
}

#[tokio::test]
async fn sagas_whose_calls_fail_together_do_not_come_back_together_and_each_comes_when_it_said() {
    const SAGAS: usize = 30;
    let mut test_driver = test_driver().await;
    let mut ids = Vec::new();
    for number in 0..SAGAS {
        ids.push(test_driver.start(&number.to_string()).await);
        test_driver.next().await.unavailable();
    }
    let mut told = Vec::new();
    for saga_id in &ids {
        test_driver.recorded(saga_id, 3).await;
        let due = test_driver.get(saga_id).await.steps[0].next_attempt_at.unwrap();
        told.push(u64::try_from(due.seconds * 1_000 + i64::from(due.nanos / 1_000_000)).unwrap());
    }
    told.sort_unstable();
    let mut came = Vec::new();
    while came.len() < SAGAS {
        test_driver.time.advance_to_next().await;
        let now = test_driver.clock.now().0;
        for _ in told.iter().filter(|due| **due == now) {
            came.push(test_driver.next().await.at.0);
        }
    }
    assert_eq!(came, told);
    let waited: BTreeSet<u64> = told.iter().map(|due| due - START_TIME.0).collect();
    assert!(waited.iter().all(|waited| (5_000..=10_000).contains(waited)), "{waited:?}");
    assert!(waited.len() > SAGAS / 2, "they were drawn alike: {waited:?}");
}

#[tokio::test]
async fn a_participant_that_pushes_back_is_left_alone_as_long_as_it_says_and_loses_no_attempt() {
    let mut test_driver = test_driver().await;
    let saga_id = test_driver.start("k").await;
    let push_back = || {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(70)));
        Status::with_error_details(Code::ResourceExhausted, "not now", details)
    };
    let mut records = 2;
    for call in ["freeze forward", "freeze undo"] {
        for _ in 0..4 {
            let arrived = test_driver.called(call).await;
            let began = arrived.at;
            arrived.say(Err(push_back()));
            records += 1;
            test_driver.recorded(&saga_id, records).await;
            test_driver.time.advance_to_next().await;
            assert_eq!(test_driver.clock.now().since(began), Duration::from_secs(70), "{call}");
        }
        if call == "freeze forward" {
            test_driver.called(call).await.unavailable();
            test_driver.recorded(&saga_id, records + 1).await;
            test_driver.pass(10_000);
            test_driver.called(call).await.unavailable();
            // The appends are the answers, the turning back, and the intent to undo.
            records += 4;
        }
    }
    test_driver.called("freeze undo").await.done();
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_asked_for_again_in_either_direction() {
    let large = || Ok(vec![0x0a; 5 << 20].into());
    let mut test_driver = TestDriver::open(&definition("", &FREEZE_AND_CHARGE)).await;
    let saga_id = test_driver.start("k").await;
    test_driver.called("freeze forward").await.say(large());
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.reason, "ANSWER_TOO_LARGE");
    assert!(saga.message.contains("has 5242880 bytes, and 4194304 are taken"), "{}", saga.message);
    assert!(saga.message.contains("/work.v1.Work/Do"), "{}", saga.message);

    let saga_id = test_driver.start("other").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(Err(Status::not_found("as the test says")));
    test_driver.called("freeze undo").await.say(large());
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.steps[0].reason, "ANSWER_TOO_LARGE", "{saga:?}");
    test_driver.pass(86_400_000);
    tokio::task::yield_now().await;
    assert!(test_driver.arrivals.try_recv().is_err(), "nothing is asked again");
}

const TOO_LARGE: &str = "Received message larger than max (6000005 vs. 4194304)";

/// A definition whose last step is behind its pivot.
const CONFIRM: &str = "
    pivot: true
  - step: confirm
    call: work.v1.Work/Do
";

#[tokio::test]
async fn a_request_that_its_participant_finds_too_large_is_not_sent_again_on_either_side_of_the_pivot()
 {
    let too_large = || Err(Status::resource_exhausted(TOO_LARGE));
    let steps = [FREEZE_AND_CHARGE[0], FREEZE_AND_CHARGE[1], CONFIRM];
    let mut test_driver = TestDriver::open(&definition("", &steps)).await;

    let before = test_driver.start("before").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(too_large());
    test_driver.called("freeze undo").await.done();
    let saga = test_driver.stands(&before, SagaState::Compensated).await;
    assert_eq!((saga.reason.as_str(), saga.message.as_str()), ("MESSAGE_TOO_LARGE", TOO_LARGE));

    let behind = test_driver.start("behind").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    test_driver.called("confirm forward").await.say(too_large());
    let saga = test_driver.stands(&behind, SagaState::Attention).await;
    assert_eq!((saga.reason.as_str(), saga.message.as_str()), ("MESSAGE_TOO_LARGE", TOO_LARGE));

    let undo = test_driver.start("undo").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(too_large());
    test_driver.called("freeze undo").await.say(too_large());
    let saga = test_driver.stands(&undo, SagaState::Attention).await;
    assert_eq!(saga.steps[0].reason, "MESSAGE_TOO_LARGE");
    test_driver.pass(86_400_000);
    tokio::task::yield_now().await;
    assert!(test_driver.arrivals.try_recv().is_err(), "nothing is asked again");
}

#[tokio::test]
async fn a_request_above_the_limit_that_the_definition_states_is_not_sent_at_all() {
    let large = "    with: { id: \"'x'.size() == 1 ? '0123456789' : ''\" }\n";
    let charge = FREEZE_AND_CHARGE[1];
    let head = "max_request: 11B\n";
    for (limit, taken) in [("", false), ("    max_request: 12B\n", true)] {
        let steps = [FREEZE_AND_CHARGE[0], charge, large, limit];
        let mut test_driver = TestDriver::open(&definition(head, &steps)).await;
        let saga_id = test_driver.start("k").await;
        test_driver.called("freeze forward").await.done();
        if taken {
            test_driver.called("charge forward").await.done();
            test_driver.stands(&saga_id, SagaState::Succeeded).await;
            continue;
        }
        test_driver.called("freeze undo").await.done();
        let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
        assert_eq!(saga.reason, "MESSAGE_TOO_LARGE");
        let told = "the request of charge has 12 bytes, and its participant takes 11 (max_request)";
        assert_eq!(saga.message, told);
        assert_eq!(saga.steps[1].attempts, 0);
    }
}

#[tokio::test]
async fn a_request_above_the_stated_limit_needs_a_person_behind_the_pivot_and_for_an_undo() {
    let large = "    with: { id: \"'0123456789'\" }\n    max_request: 4B\n";
    let steps = [FREEZE_AND_CHARGE[0], FREEZE_AND_CHARGE[1], CONFIRM, large];
    let mut test_driver = TestDriver::open(&definition("", &steps)).await;
    let behind = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    let saga = test_driver.stands(&behind, SagaState::Attention).await;
    assert_eq!(saga.reason, "MESSAGE_TOO_LARGE");

    let large_undo = "    undo_with: { id: \"'0123456789'\" }\n    max_request: 4B\n";
    let steps = [FREEZE_AND_CHARGE[0], large_undo, FREEZE_AND_CHARGE[1]];
    let mut test_driver = TestDriver::open(&definition("", &steps)).await;
    let undo = test_driver.start("k").await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(Err(Status::not_found("as the test says")));
    let saga = test_driver.stands(&undo, SagaState::Attention).await;
    assert!(saga.steps[0].message.starts_with("the request of the undo of freeze has 12 bytes"));
}
