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
