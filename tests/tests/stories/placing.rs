//! Orders that succeed, and orders that are declined at each service.

use proto::{
    order::v1::OrderState,
    points::v1::SetStandingRequest,
    saga::v1::{SagaState, StepState},
    stock::v1::UpsertProductRequest,
};
use tests::{
    Mesh,
    shop::{TEA, code, euros, order},
};
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_stock_points_and_money_and_is_paid() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;

    let mut request = order("t-1", "ada", "tea", 3);
    request.points = 50;
    let placed = mesh.place_successfully(request).await;
    assert_eq!(placed.state, "ORDER_STATE_PAID");
    assert_eq!(placed.total, euros(3 * TEA));
    assert_eq!(placed.paid, euros(3 * TEA - 50));

    let standing = mesh.balances().await;
    assert_eq!(standing.tea, (97, 0, 3));
    assert_eq!(standing.wallet, 10_000 - (3 * TEA - 50));
    assert_eq!(standing.points, 950);

    let kept = mesh.order(&placed.order_no).await;
    assert_eq!(kept.state(), OrderState::Paid);
    assert_eq!(kept.saga_id, placed.saga_id);
    assert_eq!(kept.transitions.len(), 2);
    let saga = mesh.ended(&placed.saga_id).await;
    assert_eq!(saga.state(), SagaState::Succeeded);
    assert!(saga.steps.iter().all(|step| step.state() == StepState::Done), "{saga:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_can_pay_for_all_of_it_and_then_no_money_moves() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let mut request = order("t-1", "ada", "tea", 2);
    request.points = 2 * TEA;
    let placed = mesh.place_successfully(request).await;
    assert_eq!(placed.paid, euros(0));
    assert_eq!(mesh.balances().await.wallet, 10_000);
    assert_eq!(mesh.balances().await.points, 1_000 - 2 * TEA);
    let saga = mesh.ended(&placed.saga_id).await;
    let charge = saga.steps.iter().find(|step| step.step == "charge_payment").unwrap();
    assert_eq!(charge.state(), StepState::Skipped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_the_same_token_gets_the_same_answer_and_another_request_is_refused() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let first = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    let again = mesh.place(order("t-1", "ada", "tea", 1)).await;
    assert_eq!(first, again);
    assert_eq!(mesh.balances().await.tea, (99, 0, 1));

    let refused = mesh.checkout().place_order(order("t-1", "ada", "tea", 2)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "KEY_REUSED");

    // The token is the user's own: another user's has nothing to do with it.
    mesh.add_member("bob", 0, 10_000).await;
    let bobs = mesh.place_successfully(order("t-1", "bob", "tea", 2)).await;
    assert_ne!(bobs.order_no, first.order_no);
}

/// What must be declined, and how.
async fn declined(
    mesh: &Mesh,
    request: proto::checkout::v1::PlaceOrderRequest,
    reason: &str,
    step: &str,
) {
    let before = mesh.balances().await;
    let token = request.submit_token.clone();
    let answer = mesh.place(request.clone()).await;
    let result = answer.result.clone().unwrap();
    assert!(!result.success);
    assert_eq!(result.code, reason, "{result:?}");
    assert!(result.message.contains(step), "{result:?} does not name {step}");
    assert!(!answer.saga_id.is_empty());
    assert_eq!(mesh.balances().await, before, "{reason} left something behind");
    assert_eq!(mesh.ended(&answer.saga_id).await.state(), SagaState::Compensated);
    assert_eq!(mesh.place(request).await, answer, "the repeat of {token} differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_declined_with_its_reason_and_leaves_nothing_behind() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_goods("gold", 9_000_000, 5).await;
    mesh.add_member("eve", 0, 10).await;
    let coffee = UpsertProductRequest {
        request_id: "coffee".to_owned(),
        sku: "coffee".to_owned(),
        price: euros(100),
        on_sale: false,
        ..UpsertProductRequest::default()
    };
    mesh.stock().upsert_product(coffee).await.unwrap();

    declined(&mesh, order("d-1", "ada", "nothing", 1), "SKU_UNKNOWN", "create_order").await;
    declined(&mesh, order("d-2", "ada", "coffee", 1), "NOT_ON_SALE", "create_order").await;
    declined(&mesh, order("d-3", "ada", "tea", 101), "INSUFFICIENT_STOCK", "create_order").await;
    declined(&mesh, order("d-4", "nobody", "tea", 1), "USER_UNKNOWN", "create_order").await;
    declined(&mesh, order("d-5", "ada", "gold", 1), "INSUFFICIENT_FUNDS", "charge_payment").await;
    declined(&mesh, order("d-6", "eve", "tea", 1), "INSUFFICIENT_FUNDS", "charge_payment").await;
    let with_points = |token: &str, points| {
        let mut request = order(token, "ada", "tea", 3);
        request.points = points;
        request
    };
    declined(&mesh, with_points("d-7", 1_001), "INSUFFICIENT_POINTS", "create_order").await;
    declined(&mesh, with_points("d-8", 3 * TEA + 1), "POINTS_EXCEED_TOTAL", "create_order").await;

    let suspend = SetStandingRequest {
        request_id: "s".to_owned(),
        user_id: "ada".to_owned(),
        suspended: true,
    };
    mesh.points().set_standing(suspend).await.unwrap();
    declined(&mesh, order("d-9", "ada", "tea", 1), "USER_SUSPENDED", "create_order").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_at_the_payment_undoes_points_stock_and_order() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_goods("gold", 9_000_000, 5).await;
    let mut request = order("t-1", "ada", "gold", 2);
    request.points = 10;
    let answer = mesh.place(request).await;
    assert_eq!(code(answer.result.as_ref()), "INSUFFICIENT_FUNDS");
    assert_eq!(mesh.points_of("ada").await, 1_000);
    let gold = mesh.units("gold").await;
    assert_eq!((gold.available, gold.frozen, gold.sold), (5, 0, 0));

    let saga = mesh.ended(&answer.saga_id).await;
    let state = |name: &str| saga.steps.iter().find(|step| step.step == name).unwrap().state();
    assert_eq!(state("charge_payment"), StepState::Declined);
    assert_eq!(state("freeze_stock"), StepState::Undone);
    assert_eq!(state("deduct_points"), StepState::Undone);
    assert_eq!(state("create_order"), StepState::Undone);
    assert_eq!(state("confirm_stock"), StepState::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_one_basket_take_all_lines_or_none() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_goods("milk", 100, 1).await;
    let mut request = order("t-1", "ada", "tea", 1);
    request.lines.push(proto::checkout::v1::Line { sku: "milk".to_owned(), quantity: 2 });
    let answer = mesh.place(request).await;
    assert_eq!(code(answer.result.as_ref()), "INSUFFICIENT_STOCK");
    assert_eq!(mesh.units("milk").await.available, 1);
    assert_eq!(mesh.units("tea").await.available, 100);
}
