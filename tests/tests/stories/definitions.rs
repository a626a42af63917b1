//! Definitions of one's own: checked at the start, pinned for life, refused with a cure.

use std::path::Path;

use tests::{Mesh, Wiring, shop::code};

/// A read of the catalogue as a saga.
fn definition(version: u32, step: &str) -> String {
    format!(
        "saga: look\nversion: {version}\nsteps:\n  - step: {step}\n    \
         call: sagamesh.stock.v1.StockService/GetProduct\n    with: {{ sku: request.sku }}\n"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

async fn refusal(wiring: Wiring) -> String {
    wiring.try_start().await.err().expect("the mesh must not start")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_every_file_is_told_at_once_with_its_place() {
    let sagas = tempfile::tempdir().unwrap();
    write(
        sagas.path(),
        "one.yaml",
        &definition(1, "look").replace("sku: request.sku", "skv: request.sku"),
    );
    write(sagas.path(), "two.yaml", &definition(1, "look").replace("GetProduct", "GetProdukt"));
    let why = refusal(Wiring::default().with_sagas(sagas.path())).await;
    assert!(why.contains("one.yaml:6:") && why.contains("skv"), "{why}");
    assert!(why.contains("two.yaml:5:") && why.contains("GetProdukt"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_nobody_named_is_an_error_with_the_cure() {
    let sagas = tempfile::tempdir().unwrap();
    write(
        sagas.path(),
        "one.yaml",
        &definition(1, "look").replace("sagamesh.stock.v1", "other.v1"),
    );
    let why = refusal(Wiring::default().with_sagas(sagas.path())).await;
    assert!(why.contains("--participant other.v1.StockService=ADDRESS"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_version_never_changes() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "look.yaml", &definition(1, "look"));
    let folder = Wiring::default().with_sagas(sagas.path()).start().await.stop().await;

    write(sagas.path(), "look.yaml", &definition(1, "peek"));
    let data = folder.path().to_owned();
    let why = refusal(Wiring::default().on(folder).with_sagas(sagas.path())).await;
    assert!(why.contains("give this one the version 2"), "{why}");
    assert!(!data.exists(), "the folder went with the refused mesh");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_of_ones_own_runs_and_its_key_is_its_own() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "look.yaml", &definition(1, "look"));
    let mesh: Mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let start = |input: &str| proto::saga::v1::StartSagaRequest {
        definition: "look".to_owned(),
        version: 0,
        key: "k".to_owned(),
        input_json: input.to_owned(),
    };
    let first = mesh
        .sagas()
        .start_saga(start(r#"{"sku": "tea", "b": 1, "a": [true, {"y": 1, "x": 2}], "c": null}"#))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((code(first.result.as_ref()).as_str(), first.already_started), ("OK", false));
    let again = mesh
        .sagas()
        .start_saga(start(r#"{"sku": "tea", "b": 1, "a": [true, {"y": 1, "x": 2}], "c": null}"#))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.saga_id, again.already_started), (first.saga_id.clone(), true));
    let other = mesh.sagas().start_saga(start(r#"{"sku": "milk"}"#)).await.unwrap_err();
    assert_eq!(other.code(), tonic::Code::FailedPrecondition);
    assert_eq!(mesh.ended(&first.saga_id).await.state(), proto::saga::v1::SagaState::Succeeded);
}

/// A gift list that is known by its .proto alone; the saga of the same name serves it.
const GIFTS: &str = r#"
    syntax = "proto3";
    package gifts.v1;
    service Gifts { rpc Wrap(WrapRequest) returns (WrapResponse); }
    message WrapRequest { string id = 1; string sku = 2; map<string, int32> wishes = 3; }
    message WrapResponse { string saga_id = 1; map<string, int32> wishes = 2; }
"#;
const WRAP: &str = "\
saga: wrap
version: 1
serves: gifts.v1.Gifts/Wrap
descriptors: [gifts.proto]
key: request.id
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: request.sku }
reply: { wishes: request.wishes }
";

/// A `WrapRequest` of twenty wishes, the `first` one first.
fn wishes(first: usize) -> bytes::Bytes {
    let mut request = b"\x0a\x01g\x12\x03tea".to_vec();
    for nth in 0..20 {
        let letter = b"abcdefghijklmnopqrst"[(first + nth) % 20];
        request.extend([0x1a, 5, 0x0a, 1, letter, 0x10, letter]);
    }
    request.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_request_with_a_map_is_the_same_saga_with_the_same_answer() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "gifts.proto", GIFTS);
    write(sagas.path(), "wrap.yaml", WRAP);
    let mesh: Mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let mut answers = std::collections::HashSet::new();
    for nth in 0..50 {
        let mut client = tonic::client::Grpc::new(tests::channel(mesh.addresses().orchestrator));
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/gifts.v1.Gifts/Wrap");
        // A map has no order: clients send its entries as they come.
        let request = tonic::Request::new(wishes(nth));
        let answer = client.unary(request, path, facade::codec::Raw).await.unwrap();
        answers.insert(answer.into_inner());
    }
    assert_eq!(answers.len(), 1, "one saga, one answer, byte for byte");
    assert_eq!(mesh.sagas_in(&[]).await.len(), 1);
}
