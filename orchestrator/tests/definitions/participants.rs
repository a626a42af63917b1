//! A participant that is away.

use proto::{
    facade::v1::Reason,
    saga::v1::{CheckDefinitionRequest, DefinitionState, RegisterDefinitionRequest},
};
use tonic::Code;

use crate::test_node::{Wiring, definition};

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_whose_participant_is_away_is_pending_and_registered_when_it_answers() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", definition("work", 1));
    wiring.write("good.yaml", format!("descriptors: [work.proto]\n{}", definition("good", 1)));
    let mut node = wiring.start().await;
    let pending = node.stands("work.yaml", DefinitionState::Pending).await;
    assert_eq!((pending.name.as_str(), pending.version), ("work", 1));
    assert!(pending.problems[0].what.contains("work.v1.Work"), "{pending:?}");
    assert!(pending.next_attempt_at.is_some());
    node.start("good", 0, "k").await.unwrap();

    node.start_work().await;
    node.stands("work.yaml", DefinitionState::Registered).await;
    let (saga_id, _) = node.start("work", 0, "k").await.unwrap();
    node.succeeds(&saga_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_mistake_of_its_own_is_refused_whether_its_participant_answers_or_not() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", definition("work", 1).replace("version: 1", "version: 0"));
    let node = wiring.start().await;
    let refused = node.stands("work.yaml", DefinitionState::Refused).await;
    assert_eq!(refused.problems.len(), 2, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_that_the_participant_is_away_and_registers_when_it_answers() {
    let mut node = Wiring::new().start().await;
    let source = definition("work", 1);
    let register = RegisterDefinitionRequest { source: source.clone(), ..Default::default() };
    let away = node.sagas().register_definition(register.clone()).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away:?}");
    assert!(away.message().contains("work.v1.Work"), "{away:?}");
    let info = tonic_types::StatusExt::get_details_error_info(&away).unwrap();
    assert_eq!(info.reason, Reason::ParticipantAway.code());
    let check = CheckDefinitionRequest { source, ..Default::default() };
    let checked = node.sagas().check_definition(check).await.unwrap().into_inner();
    assert_eq!(checked.definition.unwrap().state(), DefinitionState::Pending);

    node.start_work().await;
    let registered =
        node.wait(async || node.sagas().register_definition(register.clone()).await.ok()).await;
    assert!(!registered.into_inner().already_registered);
    let (saga_id, _) = node.start("work", 0, "k").await.unwrap();
    node.succeeds(&saga_id).await;
}
