//! A user's token buys once, whatever becomes of the saga that it named.

use futures::future::BoxFuture;
use proto::order::v1::{CreateOrderRequest, ListOrdersRequest, OrderState};
use stage::{CONCURRENT_CALLERS, body, concurrently, count, twice};

use crate::desk::{Desk, code, code_or_status, create, message, paths, step};

fn under(token: &str) -> CreateOrderRequest {
    CreateOrderRequest { submit_token: token.to_owned(), ..create() }
}

async fn orders(desk: &Desk) -> usize {
    let listed = desk.client().list_orders(ListOrdersRequest::default()).await;
    body(listed).orders.len()
}

#[tokio::test]
async fn another_saga_under_a_used_token_is_declined_with_the_orders_number() {
    let desk = Desk::open().await;
    let first = body(desk.client().create_order(step("s1", under("t-1"))).await);
    // Nothing of the request but the user and the token counts, not even what else speaks against it.
    let mut other = CreateOrderRequest { points: 0, ..under("t-1") };
    other.quotes[0].on_sale = false;
    for (saga, request) in [("s2", under("t-1")), ("s3", other)] {
        let again = twice!(desk, create_order, step(saga, request.clone()));
        assert_eq!(code(&again), "ORDER_EXISTS");
        assert!(message(&again).contains(&first.order_no), "{}", message(&again));
        assert!(again.order_no.is_empty());
    }
    assert_eq!(desk.order(&first.order_no).await.submit_token, "t-1");
    assert_eq!(orders(&desk).await, 1);
}

#[tokio::test]
async fn a_token_stays_used_whatever_became_of_its_order() {
    for state in [
        OrderState::Paid,
        OrderState::Shipped,
        OrderState::Completed,
        OrderState::Cancelled,
        OrderState::Cancelling,
        OrderState::Refunded,
        OrderState::Returned,
    ] {
        let desk = Desk::open().await;
        let first = body(desk.client().create_order(step("s1", under("t-1"))).await);
        desk.brings("s1", &first.order_no, state).await;
        let again = body(desk.client().create_order(step("s2", under("t-1"))).await);
        assert_eq!(code(&again), "ORDER_EXISTS", "{state:?}");
    }
}

#[tokio::test]
async fn a_repeat_of_the_same_saga_gets_the_first_answer() {
    let desk = Desk::open().await;
    let created = twice!(desk, create_order, step("s1", under("t-1")));
    assert_eq!(code(&created), "OK");
    assert_eq!(orders(&desk).await, 1);
}

#[tokio::test]
async fn tokens_are_each_users_own_and_whoever_has_none_may_order_again() {
    let desk = Desk::open().await;
    let grace = CreateOrderRequest { user_id: "grace".to_owned(), ..under("t-1") };
    for (saga, request) in [
        ("s1", under("t-1")),
        ("s2", grace),
        ("s3", under("t-2")),
        ("s4", create()),
        ("s5", create()),
    ] {
        assert_eq!(
            code_or_status(desk.client().create_order(step(saga, request)).await),
            "OK",
            "{saga}"
        );
    }
    assert_eq!(orders(&desk).await, 5);
}

#[tokio::test]
async fn a_declined_order_leaves_its_token_free() {
    let desk = Desk::open().await;
    let dear = CreateOrderRequest { points: 1_601, ..under("t-1") };
    let declined = code_or_status(desk.client().create_order(step("s1", dear)).await);
    assert_eq!(declined, "POINTS_EXCEED_TOTAL");
    assert_eq!(code_or_status(desk.client().create_order(step("s2", under("t-1"))).await), "OK");
}

#[tokio::test]
async fn a_token_has_64_characters_at_most() {
    let desk = Desk::open().await;
    let longest = under(&"ü".repeat(64));
    assert_eq!(code_or_status(desk.client().create_order(step("s1", longest)).await), "OK");
    let refused = desk.client().create_order(step("s2", under(&"t".repeat(65)))).await.unwrap_err();
    assert_eq!(paths(&refused), ["submit_token"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_sagas_under_one_token_exactly_one_places_an_order() {
    let desk = Desk::open().await;
    let answers =
        concurrently((0..CONCURRENT_CALLERS).map(|number| -> BoxFuture<'static, String> {
            let mut client = desk.client();
            let request = step(&format!("s{number}"), under("t-1"));
            Box::pin(async move { code_or_status(client.create_order(request).await) })
        }))
        .await;
    assert_eq!(
        (count(&answers, "OK"), count(&answers, "ORDER_EXISTS")),
        (1, CONCURRENT_CALLERS - 1)
    );
    assert_eq!(orders(&desk).await, 1);
}
