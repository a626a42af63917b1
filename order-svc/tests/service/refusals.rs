//! Requests that break a rule, and steps that are none: refused with every violation, and nothing is written.

use proto::{
    facade::v1::Money,
    order::v1::{
        AbandonCancelRequest, BeginCancelRequest, CancelOrderRequest, CreateOrderRequest,
        GetOrderRequest, ListOrdersRequest, MarkPaidRequest, OrderState,
    },
};
use tonic::{Code, Status};

use crate::desk::{
    DUE, Desk, abandon, begin, complete, create, euros, finish, item, paths, pay, quote, ship,
    step, undo, undo_placing,
};

#[tokio::test]
async fn a_request_that_breaks_rules_is_told_all_of_them_and_changes_nothing() {
    let desk = Desk::open().await;
    let order_no = desk.places("s1").await;
    let (mut client, long) = (desk.client(), "x".repeat(2_001));
    let mut wrong = CreateOrderRequest {
        user_id: "a b".to_owned(),
        items: vec![item("tea", 0), item("tea", -1), item("", 1_000_001)],
        points: -1,
        ..create()
    };
    wrong.quotes[1].price = Some(Money { currency: "eur".to_owned(), minor_units: -1 });
    let bare = CreateOrderRequest { items: vec![], buyer: None, ..create() };
    let items = (0..101).map(|number| item(&format!("sku-{number}"), 1)).collect();
    let many_items = CreateOrderRequest { items, ..create() };
    let quotes = (0..101).map(|number| quote(&format!("sku-{number}"), 1)).collect();
    let many_quotes = CreateOrderRequest { quotes, ..create() };
    let unpaid = MarkPaidRequest { paid: None, ..pay(&order_no, DUE) };
    let negative = MarkPaidRequest { paid: Some(euros(-1)), ..pay(&order_no, DUE) };
    let nobody =
        BeginCancelRequest { user_id: String::new(), reason: "x".repeat(501), ..begin("") };

    let refused: [(Result<(), Status>, &[&str]); 15] = [
        (
            client.create_order(step("s", wrong)).await.map(|_| ()),
            &[
                "items",
                "items[0].quantity",
                "items[1].quantity",
                "items[2].quantity",
                "items[2].sku",
                "points",
                "quotes[1].price.currency",
                "quotes[1].price.minor_units",
                "user_id",
            ],
        ),
        (client.create_order(step("s", bare)).await.map(|_| ()), &["buyer", "items"]),
        (client.create_order(step("s", many_items)).await.map(|_| ()), &["items"]),
        (client.create_order(step("s", many_quotes)).await.map(|_| ()), &["quotes"]),
        (client.mark_paid(step("s", unpaid)).await.map(|_| ()), &["paid"]),
        (client.mark_paid(step("s", negative)).await.map(|_| ()), &["paid.minor_units"]),
        (
            client.begin_cancel(step("s", nobody)).await.map(|_| ()),
            &["order_no", "reason", "user_id"],
        ),
        (client.finish_cancel(step("s", finish("O 1"))).await.map(|_| ()), &["order_no"]),
        (
            client
                .cancel_order(undo("s", "CreateOrder", CancelOrderRequest { reason: long.clone() }))
                .await
                .map(|_| ()),
            &["reason"],
        ),
        (
            client
                .abandon_cancel(undo("s", "BeginCancel", AbandonCancelRequest { reason: long }))
                .await
                .map(|_| ()),
            &["reason"],
        ),
        (client.ship_order(ship("", "")).await.map(|_| ()), &["order_no", "request_id"]),
        (client.complete_order(complete("", "")).await.map(|_| ()), &["order_no", "request_id"]),
        (
            client.get_order(GetOrderRequest { order_no: String::new() }).await.map(|_| ()),
            &["order_no"],
        ),
        (
            client
                .list_orders(ListOrdersRequest { state: 99, ..Default::default() })
                .await
                .map(|_| ()),
            &["state"],
        ),
        (
            client
                .list_orders(ListOrdersRequest {
                    page_size: -1,
                    user_id: "x".repeat(65),
                    ..Default::default()
                })
                .await
                .map(|_| ()),
            &["page_size", "user_id"],
        ),
    ];
    for (answer, expected) in refused {
        let status = stage::refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(paths(&status), expected);
    }
    let listed = client.list_orders(ListOrdersRequest::default()).await.unwrap();
    assert_eq!(listed.get_ref().orders.len(), 1);
    assert_eq!(desk.past(&order_no).await, [OrderState::Created]);
    desk.places("s").await;
}

#[tokio::test]
async fn a_step_that_is_called_outside_a_saga_is_refused() {
    let desk = Desk::open().await;
    let order_no = desk.places("s1").await;
    let mut client = desk.client();
    let refused = [
        client.create_order(create()).await.map(|_| ()),
        client.mark_paid(pay(&order_no, DUE)).await.map(|_| ()),
        client.cancel_order(undo_placing()).await.map(|_| ()),
        client.begin_cancel(begin(&order_no)).await.map(|_| ()),
        client.abandon_cancel(abandon()).await.map(|_| ()),
        client.finish_cancel(finish(&order_no)).await.map(|_| ()),
        client.cancel_order(step("s1", undo_placing())).await.map(|_| ()),
        client.create_order(undo("s2", "CreateOrder", create())).await.map(|_| ()),
    ];
    for answer in refused {
        stage::refused(answer, Code::InvalidArgument, "NOT_A_SAGA_STEP");
    }
    assert_eq!(desk.past(&order_no).await, [OrderState::Created]);
}
