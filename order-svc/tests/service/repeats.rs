//! Repeats get the first answer, other requests under a used key are refused, and no call follows its undo.

use proto::order::v1::{CreateOrderRequest, ListOrdersRequest, OrderState};
use stage::{assert_same_refusal, refused, refused_twice, twice};
use tonic::{Code, Request};

use crate::desk::{
    DUE, Desk, abandon, begin, code, code_or_status, complete, create, finish, pay, ship, step,
    undo, undo_placing,
};

#[tokio::test]
async fn a_repeat_of_any_write_gets_the_first_answer_byte_for_byte() {
    let desk = Desk::open().await;
    let created = twice!(desk, create_order, step("s1", create()));
    let order_no = &created.order_no;
    twice!(desk, mark_paid, step("s1", pay(order_no, DUE)));
    twice!(desk, begin_cancel, step("s2", begin(order_no)));
    twice!(desk, abandon_cancel, undo("s2", "BeginCancel", abandon()));
    twice!(desk, ship_order, Request::new(ship("r", order_no)));
    twice!(desk, begin_cancel, step("s3", begin(order_no)));
    twice!(desk, finish_cancel, step("s3", finish(order_no)));
    let other = desk.has("s4", OrderState::Shipped).await;
    twice!(desk, complete_order, Request::new(complete("r", &other)));
    let undone = twice!(desk, create_order, step("s5", create()));
    twice!(desk, cancel_order, undo("s5", "CreateOrder", undo_placing()));

    let [paid, shipped] = [OrderState::Paid, OrderState::Shipped];
    let [cancelling, returned] = [OrderState::Cancelling, OrderState::Returned];
    let past = [OrderState::Created, paid, cancelling, paid, shipped, cancelling, returned];
    assert_eq!(desk.past(order_no).await, past);
    assert_eq!(desk.past(&undone.order_no).await, [OrderState::Created, OrderState::Cancelled]);
}

#[tokio::test]
async fn a_repeat_of_a_decline_gets_it_again_even_when_its_cause_is_gone() {
    let desk = Desk::open().await;
    let order_no = desk.places("s1").await;
    let unknown = twice!(desk, begin_cancel, step("s2", begin("O-none")));
    assert_eq!(code(&unknown), "ORDER_UNKNOWN");
    let (precondition, why) = (Code::FailedPrecondition, "ORDER_STATE");
    let request = || Request::new(ship("r", &order_no));
    let early = refused_twice!(desk, ship_order, request(), precondition, why);
    desk.moves("s1", "pay", &order_no).await;
    let later = refused(desk.client().ship_order(request()).await, precondition, why);
    let _ = assert_same_refusal(early, later);
    assert_eq!(desk.moves("another", "ship", &order_no).await, "OK");
}

#[tokio::test]
async fn another_request_under_a_used_key_is_refused() {
    let desk = Desk::open().await;
    let one = desk.has("s1", OrderState::Paid).await;
    let other = desk.has("s2", OrderState::Paid).await;
    desk.moves("r", "ship", &one).await;
    let cheaper = CreateOrderRequest { points: 0, ..create() };
    let refused = [
        code_or_status(desk.client().create_order(step("s1", cheaper)).await),
        code_or_status(desk.client().mark_paid(step("s1", pay(&other, DUE))).await),
        desk.moves("r", "ship", &other).await,
    ];
    let key_reused = "FailedPrecondition KEY_REUSED";
    assert!(refused.iter().all(|answer| answer == key_reused), "{refused:?}");
    assert_eq!(desk.order(&other).await.state(), OrderState::Paid);
}

#[tokio::test]
async fn an_order_is_not_created_after_its_undo() {
    let desk = Desk::open().await;
    let nothing = twice!(desk, cancel_order, undo("s1", "CreateOrder", undo_placing()));
    assert_eq!((code(&nothing), nothing.state()), ("OK", OrderState::Unspecified));
    let late = twice!(desk, create_order, step("s1", create()));
    assert_eq!(code(&late), "SUPERSEDED");
    let listed = desk.client().list_orders(ListOrdersRequest::default()).await.unwrap();
    assert!(listed.get_ref().orders.is_empty());
}

#[tokio::test]
async fn a_cancel_does_not_begin_after_its_undo() {
    let desk = Desk::open().await;
    let order_no = desk.has("s1", OrderState::Paid).await;
    assert_eq!(desk.moves("s2", "abandon", &order_no).await, "OK");
    assert_eq!(desk.moves("s2", "begin", &order_no).await, "SUPERSEDED");
    assert_eq!(desk.order(&order_no).await.state(), OrderState::Paid);
}

#[tokio::test]
async fn the_undo_of_a_declined_order_has_nothing_to_undo() {
    let desk = Desk::open().await;
    let request = CreateOrderRequest { points: 1_601, ..create() };
    let declined = desk.client().create_order(step("s1", request)).await.unwrap();
    assert_eq!(code(declined.get_ref()), "POINTS_EXCEED_TOTAL");
    let nothing = twice!(desk, cancel_order, undo("s1", "CreateOrder", undo_placing()));
    assert_eq!(code(&nothing), "OK");
}
