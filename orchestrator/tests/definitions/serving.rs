//! The methods that definitions serve, while the node runs.

use bytes::Bytes;
use facade::codec::Raw;
use http::uri::PathAndQuery;
use proto::{
    facade::v1::Reason,
    saga::v1::{ArchiveDefinitionRequest, DefinitionState, UnarchiveDefinitionRequest},
};
use tonic::{Code, Request, Status, client::Grpc};
use tonic_types::StatusExt;

use crate::test_node::{TestNode, WORK, Wiring, serving};

/// Orders under this id, of one letter.
async fn order(node: &TestNode, id: &str) -> Result<Bytes, Status> {
    let mut client = Grpc::new(node.routes.clone());
    client.ready().await.unwrap();
    let request = [b"\x0a\x01", id.as_bytes()].concat();
    let path = PathAndQuery::from_static("/work.v1.Front/Order");
    let mut request = Request::new(Bytes::from(request));
    request.set_timeout(std::time::Duration::from_secs(20));
    client.unary(request, path, Raw).await.map(tonic::Response::into_inner)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_is_served_from_when_its_definition_is_registered_and_by_its_newest_contract() {
    let mut node = Wiring::new().start().await;
    node.start_work().await;
    assert_eq!(order(&node, "a").await.unwrap_err().code(), Code::Unimplemented);
    node.write("front.yaml", serving("front", 1));
    node.stands("front.yaml", DefinitionState::Registered).await;
    assert_eq!(order(&node, "a").await.unwrap(), b"\x0a\x01a".as_slice());

    // The next version's contract has a field more in the answer.
    let contract = WORK.replace(
        "service Front { rpc Order(Job) returns (Job); }",
        "service Front { rpc Order(Job) returns (Receipt); } message Receipt { string id = 1; int32 version = 2; }",
    );
    node.write("newer.proto", contract);
    let next = serving("front", 2).replace("work.proto", "newer.proto");
    // One that does not check changes nothing.
    node.write("front.yaml", next.replace("id: work.id", "id: work.id, version: work.version"));
    node.stands("front.yaml", DefinitionState::Refused).await;
    assert_eq!(order(&node, "b").await.unwrap(), b"\x0a\x01b".as_slice());
    node.write("front.yaml", next.replace("id: work.id", "id: work.id, version: '2'"));
    node.wait(async || {
        let answer = order(&node, "c").await.unwrap();
        (answer == b"\x0a\x01c\x10\x02".as_slice() || answer == b"\x0a\x01c".as_slice())
            .then_some(())
    })
    .await;
    node.wait(async || {
        let listed = node.listed().await;
        listed
            .iter()
            .any(|one| one.version == 2 && one.state() == DefinitionState::Registered)
            .then_some(())
    })
    .await;
    assert_eq!(order(&node, "d").await.unwrap(), b"\x0a\x01d\x10\x02".as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_serve_a_method_the_second_is_refused_until_the_first_is_archived() {
    let wiring = Wiring::new();
    wiring.write("a.yaml", serving("first", 1));
    wiring.write("b.yaml", serving("second", 1));
    let mut node = wiring.start().await;
    node.start_work().await;
    let refused = node.stands("b.yaml", DefinitionState::Refused).await;
    let problem = &refused.problems[0];
    assert_eq!(problem.what, "work.v1.Front/Order is served by the definition first");
    assert_eq!(problem.line, 1);
    order(&node, "a").await.unwrap();

    let archive =
        ArchiveDefinitionRequest { name: "first".to_owned(), version: 0, reason: String::new() };
    node.sagas().archive_definition(archive).await.unwrap();
    node.stands("b.yaml", DefinitionState::Registered).await;
    order(&node, "b").await.unwrap();
    assert!(!node.start("second", 0, "7").await.unwrap().1);
    let unarchive = UnarchiveDefinitionRequest { name: "first".to_owned(), version: 0 };
    let refused = node.sagas().unarchive_definition(unarchive).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, Reason::MethodServed.code().to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_method_of_an_archived_definition_takes_no_new_request_and_answers_repeats() {
    let wiring = Wiring::new();
    wiring.write("front.yaml", serving("front", 1));
    let mut node = wiring.start().await;
    node.start_work().await;
    let first = order(&node, "a").await.unwrap();
    let archive =
        ArchiveDefinitionRequest { name: "front".to_owned(), version: 0, reason: String::new() };
    node.sagas().archive_definition(archive).await.unwrap();
    assert_eq!(order(&node, "a").await.unwrap(), first);
    let refused = order(&node, "b").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, Reason::DefinitionArchived.code().to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_method_of_the_node_itself() {
    let wiring = Wiring::new();
    let saga_service = serving("front", 1)
        .replace("work.v1.Front/Order", "sagamesh.saga.v1.SagaService/GetSaga")
        .replace("request.id", "request.saga_id")
        .replace("reply: { id: work.id }", "reply: {}");
    wiring.write("front.yaml", saga_service);
    let node = wiring.start().await;
    let refused = node.stands("front.yaml", DefinitionState::Refused).await;
    assert!(refused.problems[0].what.ends_with("is served by the node itself"), "{refused:?}");
}
