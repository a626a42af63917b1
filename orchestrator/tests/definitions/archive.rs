//! ArchiveDefinition and UnarchiveDefinition.

use proto::{
    facade::v1::Reason,
    saga::v1::{
        ArchiveDefinitionRequest, Definition, DefinitionState, GetDefinitionRequest,
        UnarchiveDefinitionRequest,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::test_node::{TestNode, Wiring, definition};

const REASON: &str = "the house is closed";

fn described(name: &str, version: u32) -> String {
    format!("descriptors: [work.proto]\n{}", definition(name, version))
}

async fn archive(node: &TestNode, name: &str, version: u32) -> Result<Definition, Status> {
    let request =
        ArchiveDefinitionRequest { name: name.to_owned(), version, reason: REASON.to_owned() };
    Ok(node.sagas().archive_definition(request).await?.into_inner().definition.unwrap())
}

async fn refused(node: &TestNode, version: u32) -> String {
    let refused = node.start("work", version, "new").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    refused.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn no_saga_begins_by_an_archived_definition_and_those_that_run_go_on_also_after_a_restart() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", described("work", 1));
    let mut node = wiring.start().await;
    // Its participant is away, so it runs.
    let (running, _) = node.start("work", 0, "k").await.unwrap();
    for _ in 0..2 {
        let archived = archive(&node, "work", 0).await.unwrap();
        assert_eq!(archived.state(), DefinitionState::Archived);
        assert!(archived.archived_at.is_some());
        assert_eq!(archived.archive_reason, REASON);
    }
    let archived = Reason::DefinitionArchived.code();
    assert_eq!(
        (refused(&node, 0).await.as_str(), refused(&node, 1).await.as_str()),
        (archived, archived)
    );
    assert_eq!(node.start("work", 0, "k").await.unwrap(), (running.clone(), true));
    node.start_work().await;
    node.succeeds(&running).await;

    // The file is still there.
    let node = node.stop().await.start().await;
    let request = GetDefinitionRequest { name: "work".to_owned(), version: 0 };
    let kept = node.sagas().get_definition(request).await.unwrap().into_inner();
    assert_eq!(kept.definition.unwrap().archive_reason, REASON);
    assert_eq!(refused(&node, 0).await, archived);
    assert_eq!(node.start("work", 0, "k").await.unwrap(), (running, true));
    let request = UnarchiveDefinitionRequest { name: "work".to_owned(), version: 0 };
    let again = node.sagas().unarchive_definition(request).await.unwrap().into_inner();
    let again = again.definition.unwrap();
    assert_eq!(again.state(), DefinitionState::Registered);
    assert_eq!(again.archive_reason, "");
    node.start("work", 0, "new").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_is_not_archived_and_an_older_one_that_is_changes_nothing() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", described("work", 1));
    let node = wiring.start().await;
    archive(&node, "work", 0).await.unwrap();
    node.write("work.yaml", described("work", 2));
    node.wait(async || node.start("work", 0, "k").await.ok()).await;
    assert_eq!(refused(&node, 1).await, Reason::DefinitionRetired.code());
    archive(&node, "work", 2).await.unwrap();
    assert_eq!(refused(&node, 1).await, Reason::DefinitionArchived.code());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_registered_cannot_be_archived() {
    let wiring = Wiring::new();
    wiring.write("work.yaml", described("work", 1));
    let node = wiring.start().await;
    for (name, version, code) in [
        ("other", 0, Code::NotFound),
        ("work", 2, Code::NotFound),
        ("a b", 0, Code::InvalidArgument),
    ] {
        assert_eq!(archive(&node, name, version).await.unwrap_err().code(), code);
    }
}
