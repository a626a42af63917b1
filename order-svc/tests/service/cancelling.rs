//! Giving an order back.

use proto::order::v1::{BeginCancelRequest, CreateOrderRequest, OrderState};
use tonic::Code;

use crate::desk::{
    DUE, Desk, abandon, begin, code, create, euros, finish, message, reason, step, undo,
};

fn was_placing(order_no: &str) -> BeginCancelRequest {
    BeginCancelRequest { was_placing: true, ..begin(order_no) }
}

#[tokio::test]
async fn a_paid_order_is_refunded_and_a_shipped_one_returned() {
    let desk = Desk::open().await;
    for (saga, from, to) in [
        ("s1", OrderState::Paid, OrderState::Refunded),
        ("s2", OrderState::Shipped, OrderState::Returned),
    ] {
        let order_no = desk.has(saga, from).await;
        let cancel = format!("{saga}-cancel");
        let begun = desk.client().begin_cancel(step(&cancel, begin(&order_no))).await.unwrap();
        let begun = begun.into_inner();
        assert_eq!((code(&begun), begun.state()), ("OK", OrderState::Cancelling));
        assert_eq!((begun.refund, begun.points), (Some(euros(DUE)), 500));
        let finished = desk.client().finish_cancel(step(&cancel, finish(&order_no))).await;
        assert_eq!(finished.unwrap().get_ref().state(), to);

        let order = desk.order(&order_no).await;
        assert_eq!((order.state(), &order.paid), (to, &Some(euros(DUE))));
        let [.., last_but_one, last] = &order.transitions[..] else { panic!("{order:?}") };
        assert_eq!((last_but_one.from(), last_but_one.to()), (from, OrderState::Cancelling));
        assert_eq!(
            (last_but_one.reason.as_str(), last.from()),
            ("too late", OrderState::Cancelling)
        );
    }
}

#[tokio::test]
async fn an_order_that_points_paid_for_gets_no_money_back_and_says_in_which_currency() {
    let desk = Desk::open().await;
    let mut request = CreateOrderRequest { points: 1_600, ..create() };
    request.buyer.as_mut().unwrap().points_balance = 1_600;
    let created = desk.client().create_order(step("s1", request)).await.unwrap().into_inner();
    let paid = crate::desk::pay(&created.order_no, 0);
    assert_eq!(code(desk.client().mark_paid(step("s1", paid)).await.unwrap().get_ref()), "OK");
    assert_eq!(desk.order(&created.order_no).await.paid, Some(euros(0)));
    let begun = desk.client().begin_cancel(step("s2", begin(&created.order_no))).await.unwrap();
    assert_eq!((&begun.get_ref().refund, begun.get_ref().points), (&Some(euros(0)), 1_600));
}

#[tokio::test]
async fn an_abandoned_cancel_goes_back_to_where_the_order_was_and_another_may_begin() {
    let desk = Desk::open().await;
    for (saga, state) in [("s1", OrderState::Paid), ("s2", OrderState::Shipped)] {
        let order_no = desk.has(saga, state).await;
        for cancel in ["first", "second"] {
            let cancel = format!("{saga}-{cancel}");
            assert_eq!(desk.moves(&cancel, "begin", &order_no).await, "OK");
            let request = undo(&cancel, "BeginCancel", abandon());
            let abandoned = desk.client().abandon_cancel(request).await.unwrap().into_inner();
            assert_eq!((code(&abandoned), abandoned.state()), ("OK", state));
            assert_eq!(desk.order(&order_no).await.state(), state);
        }
        assert_eq!(desk.order(&order_no).await.transitions.last().unwrap().reason, "kept");
    }
}

#[tokio::test]
async fn a_cancel_that_was_finished_cannot_be_abandoned() {
    let desk = Desk::open().await;
    let order_no = desk.has("s1", OrderState::Refunded).await;
    assert_eq!(desk.moves("s1", "abandon", &order_no).await, "ORDER_STATE");
    assert_eq!(desk.order(&order_no).await.state(), OrderState::Refunded);
}

#[tokio::test]
async fn an_abandon_is_of_its_own_sagas_cancel_and_of_no_other() {
    let desk = Desk::open().await;
    let (one, other) =
        (desk.has("s1", OrderState::Paid).await, desk.has("s2", OrderState::Paid).await);
    desk.moves("cancel-1", "begin", &one).await;
    desk.moves("cancel-2", "begin", &other).await;
    assert_eq!(desk.moves("cancel-1", "abandon", &one).await, "OK");
    assert_eq!(desk.order(&one).await.state(), OrderState::Paid);
    assert_eq!(desk.order(&other).await.state(), OrderState::Cancelling);
}

#[tokio::test]
async fn a_cancel_of_an_order_that_is_being_placed_is_asked_again_until_its_placing_has_ended() {
    let desk = Desk::open().await;
    for (saga, ending, refund) in [("s1", "pay", DUE), ("s2", "undo", 0)] {
        let order_no = desk.places(saga).await;
        let cancel = format!("{saga}-cancel");
        for _ in 0..2 {
            let request = step(&cancel, was_placing(&order_no));
            let status = desk.client().begin_cancel(request).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "ORDER_STATE"));
            assert!(status.message().contains("still being placed"), "{}", status.message());
        }
        desk.moves(saga, ending, &order_no).await;
        // The same key and the same request: nothing was stored that would answer them.
        let begun =
            desk.client().begin_cancel(step(&cancel, was_placing(&order_no))).await.unwrap();
        assert_eq!((code(begun.get_ref()), &begun.get_ref().refund), ("OK", &Some(euros(refund))));
    }
}

#[tokio::test]
async fn an_order_whose_placing_was_undone_is_as_cancelled_as_was_wanted() {
    let desk = Desk::open().await;
    let order_no = desk.has("s1", OrderState::Cancelled).await;
    let past = desk.past(&order_no).await;
    let begun = desk.client().begin_cancel(step("s2", was_placing(&order_no))).await.unwrap();
    let begun = begun.into_inner();
    assert_eq!((code(&begun), begun.state()), ("OK", OrderState::Cancelled));
    assert_eq!((begun.refund, begun.points), (Some(euros(0)), 0));
    assert_eq!(desk.moves("s2", "finish", &order_no).await, "ORDER_STATE");

    let abandoned = desk.client().abandon_cancel(undo("s2", "BeginCancel", abandon())).await;
    assert_eq!(abandoned.unwrap().get_ref().state(), OrderState::Cancelled);
    assert_eq!(desk.past(&order_no).await, past);
}

#[tokio::test]
async fn a_cancel_that_comes_too_late_is_told_why() {
    let desk = Desk::open().await;
    for state in [
        OrderState::Completed,
        OrderState::Cancelled,
        OrderState::Cancelling,
        OrderState::Refunded,
        OrderState::Returned,
    ] {
        let saga = format!("{state:?}");
        let order_no = desk.has(&saga, state).await;
        let late =
            desk.client().begin_cancel(step(&format!("late-{saga}"), begin(&order_no))).await;
        let late = match late {
            Ok(late) => late.into_inner(),
            Err(status) => panic!("{status}"),
        };
        assert_eq!(code(&late), "ORDER_STATE");
        let sentence = format!(
            "the order {order_no} is {} and cannot be cancelled: only one that is PAID or SHIPPED can",
            saga.to_uppercase()
        );
        assert_eq!(message(&late), sentence);
    }
}

#[tokio::test]
async fn another_users_order_is_as_unknown_as_one_that_does_not_exist() {
    let desk = Desk::open().await;
    for state in [OrderState::Created, OrderState::Paid, OrderState::Cancelled] {
        let order_no = desk.has(&format!("{state:?}"), state).await;
        let foreign = BeginCancelRequest { user_id: "eve".to_owned(), ..was_placing(&order_no) };
        let saga = format!("eve-{state:?}");
        let refused = desk.client().begin_cancel(step(&saga, foreign)).await.unwrap().into_inner();
        assert_eq!(code(&refused), "ORDER_UNKNOWN");
        assert!(!message(&refused).contains("ada"));
        assert_eq!(desk.order(&order_no).await.state(), state);
    }
}
