//! An order's way from CREATED to COMPLETED, and every move that its state refuses.

use std::time::Duration;

use proto::order::v1::{GetOrderRequest, OrderState};

use crate::desk::{
    DUE, Desk, begin, code, code_or_status, complete, euros, finish, message, pay, ship, step,
};

#[tokio::test]
async fn an_order_is_paid_shipped_and_completed_and_keeps_the_log_of_it() {
    let desk = Desk::open().await;
    let order_no = desk.places("s1").await;
    desk.advance(Duration::from_millis(900));
    let paid = desk.client().mark_paid(step("s1", pay(&order_no, DUE))).await.unwrap().into_inner();
    assert_eq!((code(&paid), paid.state()), ("OK", OrderState::Paid));
    assert_eq!(paid.paid, Some(euros(DUE)));
    let shipped = desk.client().ship_order(ship("r1", &order_no)).await.unwrap().into_inner();
    assert_eq!(shipped.order.unwrap(), desk.order(&order_no).await);
    let completed = desk.client().complete_order(complete("r1", &order_no)).await.unwrap();
    let order = completed.into_inner().order.unwrap();
    assert_eq!(order, desk.order(&order_no).await);

    assert_eq!((order.state(), &order.paid), (OrderState::Completed, &Some(euros(DUE))));
    let log: Vec<_> = order.transitions.iter().map(|one| (one.from(), one.to())).collect();
    let expected = [
        (OrderState::Unspecified, OrderState::Created),
        (OrderState::Created, OrderState::Paid),
        (OrderState::Paid, OrderState::Shipped),
        (OrderState::Shipped, OrderState::Completed),
    ];
    assert_eq!(log, expected);
    let at = |index: usize| order.transitions[index].at.map(|at| (at.seconds, at.nanos)).unwrap();
    assert_eq!((at(0), at(1)), ((1_700_000_000, 123_000_000), (1_700_000_001, 23_000_000)));
}

#[tokio::test]
async fn every_state_refuses_every_move_that_is_not_its_own() {
    let states = [
        (OrderState::Created, "pay undo"),
        (OrderState::Paid, "ship begin"),
        (OrderState::Shipped, "complete begin"),
        (OrderState::Completed, ""),
        (OrderState::Cancelled, ""),
        (OrderState::Cancelling, "finish"),
        (OrderState::Refunded, ""),
        (OrderState::Returned, ""),
    ];
    let desk = Desk::open().await;
    for (state, allowed) in states {
        for name in ["pay", "ship", "complete", "begin", "finish"] {
            let (saga, other) = (format!("{state:?}-{name}"), format!("{state:?}-{name}-other"));
            let order_no = desk.has(&saga, state).await;
            let past = desk.past(&order_no).await;
            let answer = desk.moves(&other, name, &order_no).await;
            if allowed.split(' ').any(|word| word == name) {
                assert_eq!(answer, "OK", "{name} from {state:?}");
                assert_eq!(desk.past(&order_no).await.len(), past.len() + 1);
                continue;
            }
            let refusal = match (state, name) {
                (OrderState::Created, "begin") => "Aborted ORDER_STATE",
                (_, "ship" | "complete") => "FailedPrecondition ORDER_STATE",
                _ => "ORDER_STATE",
            };
            assert_eq!(answer, refusal, "{name} from {state:?}");
            assert_eq!(desk.past(&order_no).await, past, "{name} from {state:?}");
        }
    }
}

#[tokio::test]
async fn the_placing_of_an_order_can_be_undone_only_before_it_is_paid() {
    let desk = Desk::open().await;
    let order_no = desk.has("s1", OrderState::Cancelled).await;
    let order = desk.order(&order_no).await;
    assert_eq!(order.transitions[1].reason, "declined elsewhere");
    for state in [OrderState::Paid, OrderState::Shipped, OrderState::Cancelling] {
        let saga = format!("{state:?}");
        let order_no = desk.has(&saga, state).await;
        assert_eq!(desk.moves(&saga, "undo", &order_no).await, "ORDER_STATE");
        assert_eq!(desk.order(&order_no).await.state(), state);
    }
}

#[tokio::test]
async fn an_order_is_paid_with_exactly_what_is_due() {
    let desk = Desk::open().await;
    let order_no = desk.places("s1").await;
    let mut dollars = pay(&order_no, DUE);
    dollars.paid.as_mut().unwrap().currency = "USD".to_owned();
    for (saga, wrong) in
        [("a", pay(&order_no, DUE - 1)), ("b", pay(&order_no, DUE + 1)), ("c", dollars)]
    {
        let refused = desk.client().mark_paid(step(saga, wrong)).await.unwrap().into_inner();
        assert_eq!(code(&refused), "ORDER_STATE");
        assert!(message(&refused).contains("is to be paid with 11.00 EUR"), "{refused:?}");
    }
    assert_eq!(desk.past(&order_no).await, [OrderState::Created]);
    assert_eq!(desk.moves("s1", "pay", &order_no).await, "OK");
}

#[tokio::test]
async fn an_order_that_does_not_exist_is_unknown_to_every_method() {
    let desk = Desk::open().await;
    let (mut client, order_no) = (desk.client(), "O-none");
    let request = GetOrderRequest { order_no: order_no.to_owned() };
    let steps = [
        code_or_status(client.mark_paid(step("s", pay(order_no, DUE))).await),
        code_or_status(client.begin_cancel(step("s", begin(order_no))).await),
        code_or_status(client.finish_cancel(step("s", finish(order_no))).await),
    ];
    assert!(steps.iter().all(|answer| answer == "ORDER_UNKNOWN"), "{steps:?}");
    let others = [
        code_or_status(client.get_order(request).await),
        code_or_status(client.ship_order(ship("r", order_no)).await),
        code_or_status(client.complete_order(complete("r", order_no)).await),
    ];
    assert!(others.iter().all(|answer| answer == "NotFound ORDER_UNKNOWN"), "{others:?}");
}
