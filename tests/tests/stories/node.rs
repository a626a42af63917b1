//! A node that ends otherwise than it should, and what it gives its sagas by its own clock.

use proto::saga::v1::{GetSagaRequest, ListSagasRequest, SagaState};
use tests::Wiring;

use crate::operators::waiting_for_payment;

#[tokio::test(flavor = "multi_thread")]
async fn a_mesh_that_is_dropped_while_it_runs_lets_its_files_go_and_its_sagas_go_on_in_the_next() {
    let (mesh, saga_id) = waiting_for_payment().await;
    let folder = mesh.abort().await;
    // A new node is refused for as long as another has the files.
    let mesh = Wiring::default().on(folder).start().await;
    assert_eq!(mesh.ended(&saga_id).await.state(), SagaState::Succeeded);
}

#[test]
fn a_sagas_id_tells_when_it_began_by_the_clock_of_its_node_and_keeps_the_order_of_the_starts() {
    const LOOK_DEFINITION: &str = "
saga: look
version: 1
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/Quote
    with: { lines: \"[{'sku': 'tea', 'quantity': 1}]\" }
";
    let mesh =
        kit::Wiring::new().service(stock_svc::open).file("look.yaml", LOOK_DEFINITION).start();
    mesh.block_on(async {
        let mut started = Vec::new();
        for number in 0..50 {
            let request = proto::saga::v1::StartSagaRequest {
                definition: "look".to_owned(),
                key: format!("k-{number}"),
                ..Default::default()
            };
            started.push(mesh.sagas().start_saga(request).await.unwrap().into_inner().saga_id);
        }
        assert!(started.is_sorted(), "{started:?}");
        for saga_id in &started {
            let request = GetSagaRequest { saga_id: saga_id.clone(), include_payloads: false };
            let saga = mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap();
            let created = saga.created_at.unwrap();
            let created = created.seconds * 1_000 + i64::from(created.nanos / 1_000_000);
            // The first 48 bits of a UUID of version 7.
            let began = i64::from_str_radix(&saga_id.replace('-', "")[..12], 16).unwrap();
            assert_eq!(began, created, "{saga_id}");
        }
        let listed = mesh.sagas().list_sagas(ListSagasRequest::default()).await.unwrap();
        let ids: Vec<String> =
            listed.into_inner().sagas.into_iter().map(|saga| saga.saga_id).collect();
        assert!(ids.iter().rev().eq(&started));
    });
}
