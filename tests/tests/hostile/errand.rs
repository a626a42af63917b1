//! A saga that waits for as long as it is let: its step asks to begin to cancel an order whose placing never ends.

use std::path::Path;

use proto::{
    facade::v1::Money,
    order::v1::{Buyer, CreateOrderRequest, CreateOrderResponse, Item, QuotedItem},
    saga::v1::{
        CancelSagaRequest, ResolveSagaRequest, ResumeSagaRequest, SagaState, StartSagaRequest,
    },
};
use tests::{Mesh, shop::code};
use tonic::Request;

use crate::rpc;

/// Its definition.
const ERRAND_DEFINITION: &str = "saga: errand
version: 1
input: sagamesh.order.v1.GetOrderRequest
deadline: 1h
steps:
  - step: look
    call: sagamesh.stock.v1.StockService/Quote
    with: { lines: \"[{'sku': 'tea', 'quantity': 1}]\" }
  - step: wait
    call: sagamesh.order.v1.OrderService/BeginCancel
    with: { order_no: request.order_no, user_id: \"'ada'\", reason: \"'an errand'\" }
    retry: { attempts: 1000000, base: 300ms, cap: 3s }
    undo: sagamesh.order.v1.OrderService/AbandonCancel
    undo_with: { reason: saga.reason }
";

/// Puts the definition into `folder`.
pub(crate) fn define(folder: &Path) {
    std::fs::write(folder.join("errand.yaml"), ERRAND_DEFINITION).unwrap();
}

/// An order of tea that stays CREATED, made by no saga.
pub(crate) async fn order_that_waits(mesh: &Mesh, name: &str, user: &str) -> CreateOrderResponse {
    let price = Some(Money { currency: "EUR".to_owned(), minor_units: 1 });
    let order = CreateOrderRequest {
        user_id: user.to_owned(),
        items: vec![Item { sku: "tea".to_owned(), quantity: 1 }],
        points: 0,
        quotes: vec![QuotedItem {
            sku: "tea".to_owned(),
            found: true,
            on_sale: true,
            price,
            available: 9,
        }],
        buyer: Some(Buyer { found: true, suspended: false, points_balance: 0 }),
        submit_token: String::new(),
    };
    let mut request = Request::new(order);
    *request.metadata_mut() = rpc::step(name, "create", "forward");
    let created = mesh.orders().create_order(request).await.unwrap().into_inner();
    assert_eq!(code(created.result.as_ref()), "OK");
    created
}

/// The start of an errand.
pub(crate) fn start(key: &str, order_no: &str) -> StartSagaRequest {
    StartSagaRequest {
        definition: "errand".to_owned(),
        version: 0,
        key: key.to_owned(),
        input_json: format!("{{\"order_no\": \"{order_no}\"}}"),
    }
}

/// Brings every saga to an end, as a person would; panics where one does not end.
pub(crate) async fn end_all(mesh: &Mesh) {
    let open =
        [SagaState::Running, SagaState::Compensating, SagaState::Attention, SagaState::Paused];
    let clock = clock::Clock::system();
    let began = clock.now();
    loop {
        let left = mesh.sagas_in(&open).await;
        if left.is_empty() {
            return;
        }
        assert!(clock.now().since(began).as_secs() < 40, "sagas do not end: {left:#?}");
        for saga in left {
            let (saga_id, reason) = (saga.saga_id.clone(), "the test is over".to_owned());
            let mut sagas = mesh.sagas();
            // An order that the saga's state does not allow any more is refused; then the saga is read again.
            let ordered = match saga.state() {
                SagaState::Paused => {
                    sagas.resume_saga(ResumeSagaRequest { saga_id, reason }).await.map(drop)
                }
                SagaState::Attention => {
                    sagas.resolve_saga(ResolveSagaRequest { saga_id, reason }).await.map(drop)
                }
                SagaState::Running if saga.definition == "errand" => {
                    sagas.cancel_saga(CancelSagaRequest { saga_id, reason }).await.map(drop)
                }
                _ => Ok(()),
            };
            if let Err(status) = ordered {
                assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status:?}");
            }
        }
        clock.sleep(std::time::Duration::from_millis(30)).await;
    }
}
