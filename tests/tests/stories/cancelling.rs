//! Orders that are cancelled, in each state that an order can have.

use proto::{
    order::v1::{CompleteOrderRequest, OrderState, ShipOrderRequest},
    saga::v1::SagaState,
};
use tests::{
    Mesh,
    shop::{TEA, cancel, code, order},
};

async fn ship(mesh: &Mesh, order_no: &str) {
    let request =
        ShipOrderRequest { order_no: order_no.to_owned(), request_id: format!("ship-{order_no}") };
    let answer = mesh.orders().ship_order(request).await.unwrap().into_inner();
    assert_eq!(code(answer.result.as_ref()), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_order_is_refunded_in_full() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let mut request = order("t-1", "ada", "tea", 2);
    request.points = 70;
    let placed = mesh.place_successfully(request).await;

    let cancelled = mesh.cancel(cancel("c-1", "ada", &placed.order_no)).await;
    assert_eq!(code(cancelled.result.as_ref()), "OK", "{cancelled:?}");
    assert_eq!(cancelled.state, "ORDER_STATE_REFUNDED");
    assert_eq!(cancelled.order_no, placed.order_no);
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Refunded);
    assert_eq!(mesh.balances().await, before);

    assert_eq!(
        mesh.cancel(cancel("c-1", "ada", &placed.order_no)).await,
        cancelled,
        "the repeat differs"
    );
    let again = mesh.cancel(cancel("c-2", "ada", &placed.order_no)).await;
    assert_eq!(code(again.result.as_ref()), "ORDER_STATE");
    assert_eq!(mesh.balances().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_points_paid_is_cancelled_without_moving_money() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let mut request = order("t-1", "ada", "tea", 1);
    request.points = TEA;
    let placed = mesh.place_successfully(request).await;
    let cancelled = mesh.cancel(cancel("c-1", "ada", &placed.order_no)).await;
    assert_eq!(cancelled.state, "ORDER_STATE_REFUNDED");
    assert_eq!(mesh.balances().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipped_order_is_returned_and_a_completed_one_is_declined() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 2)).await;
    ship(&mesh, &placed.order_no).await;
    let cancelled = mesh.cancel(cancel("c-1", "ada", &placed.order_no)).await;
    assert_eq!(cancelled.state, "ORDER_STATE_RETURNED");
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Returned);
    assert_eq!(mesh.balances().await, before);

    let placed = mesh.place_successfully(order("t-2", "ada", "tea", 2)).await;
    ship(&mesh, &placed.order_no).await;
    let complete = CompleteOrderRequest {
        order_no: placed.order_no.clone(),
        request_id: "complete".to_owned(),
    };
    mesh.orders().complete_order(complete).await.unwrap();
    let declined = mesh.cancel(cancel("c-2", "ada", &placed.order_no)).await;
    assert_eq!(code(declined.result.as_ref()), "ORDER_STATE");
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_cancels_anothers_order_or_one_that_does_not_exist() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_member("bob", 0, 0).await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    for request in [cancel("c-1", "bob", &placed.order_no), cancel("c-2", "ada", "O-none")] {
        let declined = mesh.cancel(request).await;
        assert_eq!(code(declined.result.as_ref()), "ORDER_UNKNOWN");
        assert_eq!(mesh.ended(&declined.saga_id).await.state(), SagaState::Compensated);
    }
    assert_eq!(mesh.order_state(&placed.order_no).await, OrderState::Paid);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_declined_cannot_be_cancelled() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_member("eve", 0, 1).await;
    let placed = mesh.place(order("t-1", "eve", "tea", 1)).await;
    assert_eq!(code(placed.result.as_ref()), "INSUFFICIENT_FUNDS");
    let orders = mesh
        .orders()
        .list_orders(proto::order::v1::ListOrdersRequest {
            user_id: "eve".to_owned(),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .orders;
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].state(), OrderState::Cancelled);
    let declined = mesh.cancel(cancel("c-1", "eve", &orders[0].order_no)).await;
    assert_eq!(code(declined.result.as_ref()), "ORDER_STATE");
}
