//! Definitions of one's own: checked at the start, pinned for life, refused with a cure.

use std::path::Path;

use proto::saga::v1::{DefinitionProblem, DefinitionState, ListDefinitionsRequest};
use tests::{
    Mesh, Wiring,
    shop::{code, order},
};

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

/// The problems of the files that are not registered, a line each.
async fn problems(mesh: &Mesh) -> String {
    let request = ListDefinitionsRequest::default();
    let listed = mesh.sagas().list_definitions(request).await.unwrap().into_inner();
    let problems = listed.definitions.iter().flat_map(|definition| &definition.problems);
    let line = |told: &DefinitionProblem| {
        format!("{}:{}: {}; {}\n", told.file, told.line, told.what, told.cure)
    };
    problems.map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_every_file_is_told_at_once_with_its_place_and_the_shop_sells() {
    let sagas = tempfile::tempdir().unwrap();
    write(
        sagas.path(),
        "one.yaml",
        &definition(1, "look").replace("sku: request.sku", "skv: request.sku"),
    );
    write(sagas.path(), "two.yaml", &definition(1, "look").replace("GetProduct", "GetProdukt"));
    let mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    let told = problems(&mesh).await;
    assert!(told.contains("one.yaml:6:") && told.contains("skv"), "{told}");
    assert!(told.contains("two.yaml:5:") && told.contains("GetProdukt"), "{told}");
    mesh.open_shop().await;
    mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_nobody_named_is_an_error_with_the_cure() {
    let sagas = tempfile::tempdir().unwrap();
    write(
        sagas.path(),
        "one.yaml",
        &definition(1, "look").replace("sagamesh.stock.v1", "other.v1"),
    );
    let mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    let told = problems(&mesh).await;
    assert!(told.contains("--participant other.v1.StockService=ADDRESS"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_version_never_changes() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "look.yaml", &definition(1, "look"));
    let folder = Wiring::default().with_sagas(sagas.path()).start().await.stop().await;

    write(sagas.path(), "look.yaml", &definition(1, "peek"));
    let mesh = Wiring::default().on(folder).with_sagas(sagas.path()).start().await;
    let told = problems(&mesh).await;
    assert!(told.contains("give this one the version 2"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_is_registered_by_the_contracts_that_ship_while_its_services_are_away() {
    // Bound, so that nobody else gets the port, and nobody listens.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = away.local_addr().unwrap();
    let services = ["order.v1.Order", "stock.v1.Stock", "points.v1.Points", "payment.v1.Payment"];
    let wiring = services.into_iter().fold(Wiring::default(), |wiring, service| {
        wiring.with_participant(&format!("sagamesh.{service}Service"), address)
    });
    let mesh = wiring.start().await;
    let request = ListDefinitionsRequest::default();
    let listed = mesh.sagas().list_definitions(request).await.unwrap().into_inner();
    assert!(!listed.definitions.is_empty());
    for definition in listed.definitions {
        assert_eq!(definition.state(), DefinitionState::Registered, "{definition:?}");
    }
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
        .start_saga(start(r#"{"c":null, "a": [true,{"x":2,"y":1}], "sku": "\u0074ea", "b": 1}"#))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.saga_id, again.already_started), (first.saga_id.clone(), true));
    let sku = r#"{"sku": "tea", "a": [true, {"y": 1, "x": 2}], "c": null"#;
    for (b, code) in [
        ("1.0", tonic::Code::FailedPrecondition),
        ("\"1\"", tonic::Code::FailedPrecondition),
        ("9007199254740993", tonic::Code::FailedPrecondition),
        ("1e400", tonic::Code::InvalidArgument),
    ] {
        let input = format!("{sku}, \"b\": {b}}}");
        let other = mesh.sagas().start_saga(start(&input)).await.unwrap_err();
        assert_eq!(other.code(), code, "{input}");
    }
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

/// Calls `Wrap`.
async fn wrap(mesh: &Mesh, request: Vec<u8>) -> Result<bytes::Bytes, tonic::Status> {
    let mut client = tonic::client::Grpc::new(tests::channel(mesh.addresses().orchestrator));
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/gifts.v1.Gifts/Wrap");
    let request = tonic::Request::new(bytes::Bytes::from(request));
    client.unary(request, path, facade::codec::Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_has_beyond_its_fields_is_neither_kept_nor_makes_it_another() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "gifts.proto", GIFTS);
    write(sagas.path(), "wrap.yaml", WRAP);
    let mesh: Mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let request = wishes(0).to_vec();
    let first = wrap(&mesh, request.clone()).await.unwrap();
    for length in [1_u8, 100] {
        let mut longer = request.clone();
        // Field 99, which nobody knows.
        longer.extend([0x9a, 0x06, length]);
        longer.extend(std::iter::repeat_n(0xab, usize::from(length)));
        assert_eq!(wrap(&mesh, longer).await.unwrap(), first, "it is the same request");
    }
    let mut other = b"\x0a\x01h\x12\x03tea".to_vec();
    other.extend([0x9a, 0x06, 100]);
    other.extend([0xab; 100]);
    wrap(&mesh, other).await.unwrap();
    let folder = mesh.stop().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(!kept.windows(100).any(|part| part == [0xab; 100]), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_definition_makes_has_the_form_of_one() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "gifts.proto", GIFTS);
    write(sagas.path(), "wrap.yaml", WRAP);
    let mesh: Mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    let long = [b"\x0a\xc9\x01".as_slice(), &[b'x'; 201]].concat();
    for (request, what) in [
        (b"\x0a\x05a\x1b[2J".to_vec(), "key must be one line without control characters"),
        (b"\x0a\x03a\nb".to_vec(), "key must be one line without control characters"),
        (long, "key must have 1 to 200 characters"),
    ] {
        let refused = wrap(&mesh, request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().contains(what), "{refused:?}");
    }
    assert!(mesh.sagas_in(&[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_saga_begins_by_a_version_that_has_a_newer_one_and_a_repeat_finds_its_saga() {
    let sagas = tempfile::tempdir().unwrap();
    write(sagas.path(), "look.yaml", &definition(1, "look"));
    let start = |version: u32, key: &str| proto::saga::v1::StartSagaRequest {
        definition: "look".to_owned(),
        version,
        key: key.to_owned(),
        input_json: r#"{"sku": "tea"}"#.to_owned(),
    };
    let mesh: Mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let old = mesh.sagas().start_saga(start(1, "k")).await.unwrap().into_inner().saga_id;
    let folder = mesh.stop().await;

    write(sagas.path(), "look.yaml", &definition(2, "peek"));
    let mesh: Mesh = Wiring::default().on(folder).with_sagas(sagas.path()).start().await;
    let refused = mesh.sagas().start_saga(start(1, "new")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused:?}");
    assert_eq!(refused.message(), "look version 1 is retired: the current one is version 2");
    let again = mesh.sagas().start_saga(start(1, "k")).await.unwrap().into_inner();
    assert_eq!((again.saga_id, again.already_started), (old.clone(), true));
    assert_eq!(mesh.ended(&old).await.version, 1);
    for (version, key) in [(0, "newest"), (2, "named")] {
        let new = mesh.sagas().start_saga(start(version, key)).await.unwrap().into_inner();
        assert_eq!(mesh.ended(&new.saga_id).await.version, 2);
    }
}
