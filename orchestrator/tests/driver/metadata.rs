//! Metadata that a definition sends with a step.

use std::net::SocketAddr;

use orchestrator::config::Participant;
use proto::saga::v1::{SagaState, StartSagaRequest};
use serde_json::json;
use tonic::Status;

use crate::test_driver::{Arrived, TestDriver, definition};

const FREEZE: &str = "
  - step: freeze
    call: work.v1.Work/Do
    with: { id: \"'f'\" }
    undo: work.v1.Work/Undo
    retry: { attempts: 2, base: 10s, cap: 10s }
    metadata: { x-tenant: saga.key, sum-bin: \"b'\\\\x01\\\\x02'\" }
";
const CHARGE: &str = "
  - step: charge
    call: work.v1.Work/Do
    metadata: { x-after: freeze.id }
";

fn entry<'a>(arrived: &'a Arrived, name: &str) -> &'a str {
    arrived.metadata.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_attempt_of_a_call_and_its_undo_have_the_steps_metadata_also_on_the_next_node() {
    let steps = [FREEZE, CHARGE];
    let mut test_driver = TestDriver::open(&definition("deadline: 1h", &steps)).await;
    let saga_id = test_driver.start("acme").await;
    let first = test_driver.called("freeze forward").await;
    assert_eq!(entry(&first, "x-tenant"), "acme");
    assert_eq!(first.metadata.get_bin("sum-bin").unwrap().to_bytes().unwrap(), [1, 2].as_slice());
    assert_eq!(entry(&first, "saga-id"), saga_id);
    test_driver.driver().abort();
    drop(first);
    let next = test_driver.next_driver().await;
    assert_eq!(next.recover_once().await.unwrap(), 1);
    let again = test_driver.called("freeze forward").await;
    assert_eq!(entry(&again, "x-tenant"), "acme");
    again.job("no. 7");
    let charge = test_driver.called("charge forward").await;
    assert_eq!((entry(&charge, "x-after"), entry(&charge, "x-tenant")), ("no. 7", ""));
    charge.say(Err(Status::failed_precondition("as the test says")));
    let undo = test_driver.called("freeze undo").await;
    assert_eq!(entry(&undo, "x-tenant"), "acme");
    undo.done();
    test_driver.stands(&saga_id, SagaState::Compensated).await;
    next.abort();
}

#[tokio::test]
async fn a_value_that_cannot_be_sent_turns_the_saga_back_before_the_call_is_made() {
    let charge = CHARGE.replace("freeze.id", "request.name");
    let mut test_driver = TestDriver::open(&definition("", &[FREEZE, &charge])).await;
    let request = StartSagaRequest {
        definition: "work".to_owned(),
        key: "k".to_owned(),
        input_json: r#"{"name":"Zoë"}"#.to_owned(),
        ..StartSagaRequest::default()
    };
    let saga_id = test_driver.sagas().start_saga(request).await.unwrap().into_inner().saga_id;
    test_driver.called("freeze forward").await.done();
    test_driver.called("freeze undo").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert_eq!(saga.reason, "EXPRESSION_FAILED");
    assert!(saga.message.contains("`x-after` has a character at place 3"), "{}", saga.message);
}

#[tokio::test]
async fn a_participant_has_its_own_metadata_with_every_call_and_is_called_by_its_authority() {
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "Bearer geheim\n").unwrap();
    let configured = |address: SocketAddr| -> Participant {
        serde_json::from_value(json!({
            "address": address.to_string(),
            "authority": "work.internal",
            "metadata": { "authorization": { "file": token }, "x-tenant": "all", "x-region": "eu" },
        }))
        .unwrap()
    };
    let definition = definition("deadline: 1h", &[FREEZE, CHARGE]);
    let mut test_driver = TestDriver::over_the_network(&definition, &configured).await;
    let saga_id = test_driver.start("acme").await;
    for call in ["freeze forward", "charge forward", "freeze undo"] {
        let arrived = test_driver.called(call).await;
        assert_eq!(arrived.authority, "work.internal", "{call}");
        assert_eq!(entry(&arrived, "authorization"), "Bearer geheim", "{call}");
        assert_eq!(entry(&arrived, "x-region"), "eu", "{call}");
        assert_eq!(entry(&arrived, "saga-id"), saga_id, "{call}");
        let of_step = if call == "charge forward" { "all" } else { "acme" };
        assert_eq!(entry(&arrived, "x-tenant"), of_step, "{call}: the step's own word wins");
        match call {
            "charge forward" => arrived.say(Err(Status::failed_precondition("as the test says"))),
            _ => arrived.done(),
        }
    }
    test_driver.stands(&saga_id, SagaState::Compensated).await;
}
