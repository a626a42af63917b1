//! Many at once: an order is created once and given back once, whoever comes first.

use futures::future::BoxFuture;
use proto::order::v1::{ListOrdersRequest, OrderState};
use stage::{CONCURRENT_CALLERS, concurrently, count, race_undoes};

use crate::desk::{Desk, begin, code_or_status, create, ship, step, undo, undo_placing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_wishes_to_cancel_an_order_exactly_one_begins() {
    let desk = Desk::open().await;
    let order_no = desk.has("s1", OrderState::Paid).await;
    let answers =
        concurrently((0..CONCURRENT_CALLERS).map(|number| -> BoxFuture<'static, String> {
            let (mut client, order_no) = (desk.client(), order_no.clone());
            Box::pin(async move {
                code_or_status(
                    client.begin_cancel(step(&format!("c{number}"), begin(&order_no))).await,
                )
            })
        }))
        .await;
    assert_eq!(
        (count(&answers, "OK"), count(&answers, "ORDER_STATE")),
        (1, CONCURRENT_CALLERS - 1)
    );
    let past = [OrderState::Created, OrderState::Paid, OrderState::Cancelling];
    assert_eq!(desk.past(&order_no).await, past);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_deliveries_of_one_call_create_one_order() {
    let desk = Desk::open().await;
    let answers = concurrently((0..CONCURRENT_CALLERS).map(|_| -> BoxFuture<'static, _> {
        let mut client = desk.client();
        Box::pin(
            async move { client.create_order(step("s1", create())).await.unwrap().into_inner() },
        )
    }))
    .await;
    assert!(answers.iter().all(|answer| answer == &answers[0]));
    let listed = desk.client().list_orders(ListOrdersRequest::default()).await.unwrap();
    assert_eq!(listed.get_ref().orders.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_races_the_shipping_finds_the_order_before_it_or_after_it() {
    let desk = Desk::open().await;
    for round in 0..16 {
        let order_no = desk.has(&format!("s{round}"), OrderState::Paid).await;
        let (mut ships, mut cancels) = (desk.client(), desk.client());
        let (shipped, cancelled) = (order_no.clone(), order_no.clone());
        let both: [BoxFuture<'static, String>; 2] = [
            Box::pin(
                async move { code_or_status(ships.ship_order(ship(&shipped, &shipped)).await) },
            ),
            Box::pin(async move {
                code_or_status(cancels.begin_cancel(step(&cancelled, begin(&cancelled))).await)
            }),
        ];
        let answers = concurrently(both).await;
        let past = desk.past(&order_no).await;
        let [paid, shipped] = [OrderState::Paid, OrderState::Shipped];
        let expected = match answers[0].as_str() {
            "OK" => vec![OrderState::Created, paid, shipped, OrderState::Cancelling],
            "FailedPrecondition ORDER_STATE" => {
                vec![OrderState::Created, paid, OrderState::Cancelling]
            }
            other => panic!("shipping answered {other}"),
        };
        assert_eq!((answers[1].as_str(), past), ("OK", expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_created_while_it_is_undone_is_cancelled_or_never_there() {
    let desk = Desk::open().await;
    let answers = race_undoes(
        |saga| {
            let mut client = desk.client();
            async move { code_or_status(client.create_order(step(&saga, create())).await) }
        },
        |saga| {
            let mut client = desk.client();
            async move {
                code_or_status(
                    client.cancel_order(undo(&saga, "CreateOrder", undo_placing())).await,
                )
            }
        },
    )
    .await;
    assert!(answers.iter().all(|answer| ["OK", "SUPERSEDED"].contains(&answer.as_str())));
    let request = ListOrdersRequest { page_size: 1000, ..Default::default() };
    let orders = desk.client().list_orders(request).await.unwrap().into_inner().orders;
    assert!(orders.iter().all(|order| order.state() == OrderState::Cancelled));
    assert_eq!(orders.len() + count(&answers, "SUPERSEDED"), CONCURRENT_CALLERS);
}
