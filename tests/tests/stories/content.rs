//! What a saga came to and what its steps sent and got, asked of the whole mesh.

use proto::saga::v1::{GetSagaRequest, Saga, StartSagaRequest, StepState};
use serde_json::{Value, json};
use stage::paths;
use tests::{Mesh, Wiring, shop::order};
use tonic::Code;

const LOOK: &str = "\
saga: look
version: 1
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: request.sku }
  - step: again
    when: has(request.other)
    call: sagamesh.stock.v1.StockService/GetProduct
    with: { sku: request.other }
output: { title: look.product.title, price: look.product.price, asked: request }
";

async fn with_payloads(mesh: &Mesh, saga_id: &str) -> Saga {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: true };
    mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_an_order_is_its_reply_and_every_step_shows_what_it_sent_and_got() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t", "ada", "tea", 2)).await;
    let saga = with_payloads(&mesh, &placed.saga_id).await;
    let output = read(&saga.output_json);
    assert_eq!(output["order_no"], placed.order_no);
    assert_eq!(output["total"]["minor_units"], placed.total.unwrap().minor_units.to_string());
    assert_eq!(read(&saga.input_json)["lines"], json!([{"sku": "tea", "quantity": "2"}]));
    for step in &saga.steps {
        let has_begun = step.state() != StepState::Skipped;
        assert_eq!(!step.request_json.is_empty(), has_begun, "{step:?}");
        assert_eq!(!step.response_json.is_empty(), has_begun, "{step:?}");
        assert_eq!((step.undo_request_json.as_str(), step.payload_problem.as_str()), ("", ""));
    }
    let answered = saga.steps.iter().find(|step| step.step == "create_order").unwrap();
    assert_eq!(read(&answered.response_json)["order_no"], placed.order_no);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_of_ones_own_is_refused_for_what_is_missing_and_tells_what_it_came_to() {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("look.yaml"), LOOK).unwrap();
    let mesh = Wiring::default().with_sagas(sagas.path()).start().await;
    mesh.open_shop().await;
    let start = |input: Value| StartSagaRequest {
        definition: "look".to_owned(),
        key: "k".to_owned(),
        input_json: input.to_string(),
        ..StartSagaRequest::default()
    };
    for (input, path) in [
        (json!({"sk": "tea"}), "input_json.sku"),
        (json!({"sku": ["tea"]}), "input_json.sku"),
        (json!({"sku": {"a": 1}, "other": "x"}), "input_json.sku"),
    ] {
        let refused = mesh.sagas().start_saga(start(input)).await.unwrap_err();
        assert_eq!(
            (refused.code(), paths(&refused)),
            (Code::InvalidArgument, vec![path.to_owned()])
        );
    }
    assert!(mesh.sagas_in(&[]).await.is_empty());

    let started = mesh.sagas().start_saga(start(json!({"sku": "tea"}))).await.unwrap();
    let saga = mesh.ended(&started.into_inner().saga_id).await;
    let shown = with_payloads(&mesh, &saga.saga_id).await;
    let output = read(&shown.output_json);
    assert_eq!(output["asked"], json!({"sku": "tea"}));
    let product = read(&shown.steps[0].response_json)["product"].clone();
    assert_eq!((&output["title"], &output["price"]), (&product["title"], &product["price"]));
    assert_eq!(shown.steps[1].request_json, "", "it was skipped");
}
