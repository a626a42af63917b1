//! Lists of orders, and what a restart keeps.

use prost::Message;
use proto::order::v1::{CreateOrderRequest, ListOrdersRequest, ListOrdersResponse, OrderState};

use crate::desk::{Desk, code, create, item, paths, quote, step};

impl Desk {
    async fn places_for(&self, user_id: &str, saga: &str) -> String {
        let request = CreateOrderRequest { user_id: user_id.to_owned(), ..create() };
        self.client().create_order(step(saga, request)).await.unwrap().into_inner().order_no
    }

    async fn page(&self, user_id: &str, state: OrderState, page_token: &str) -> ListOrdersResponse {
        let request = ListOrdersRequest {
            user_id: user_id.to_owned(),
            state: state.into(),
            page_size: 2,
            page_token: page_token.to_owned(),
        };
        self.client().list_orders(request).await.unwrap().into_inner()
    }

    /// Every page of a list.
    async fn listed(&self, user_id: &str, state: OrderState) -> Vec<String> {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = self.page(user_id, state, &token).await;
            assert!(page.orders.len() <= 2);
            seen.extend(page.orders.into_iter().map(|order| order.order_no));
            token = page.next_page_token;
            if token.is_empty() {
                return seen;
            }
        }
    }
}

/// A client takes 4 MiB where it is not told otherwise; a thousand orders may have more.
#[tokio::test]
async fn a_page_of_large_orders_ends_before_it_is_too_large_for_a_client_and_none_is_left_out() {
    let desk = Desk::open().await;
    let skus: Vec<String> = (0..100).map(|number| format!("{number:0>64}")).collect();
    let large = CreateOrderRequest {
        items: skus.iter().map(|sku| item(sku, 1)).collect(),
        quotes: skus.iter().map(|sku| quote(sku, 350)).collect(),
        ..create()
    };
    let orders = (0..150).map(|saga| {
        let (mut client, large) = (desk.client(), large.clone());
        async move { client.create_order(step(&saga.to_string(), large)).await.unwrap() }
    });
    let placed = futures::future::join_all(orders).await;
    assert!(placed.iter().all(|answer| code(answer.get_ref()) == "OK"));

    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            ListOrdersRequest { page_size: 1000, page_token, ..ListOrdersRequest::default() };
        let page = desk.client().list_orders(request).await.unwrap().into_inner();
        assert!(!page.orders.is_empty() && page.encoded_len() < 1_100_000);
        seen.extend(page.orders.into_iter().map(|order| order.order_no));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        assert!(seen.len() > 50, "a page is as large as it may be");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 150);
}

#[tokio::test]
async fn orders_are_listed_newest_first_by_user_and_by_state() {
    let desk = Desk::open().await;
    let mut all = Vec::new();
    for (saga, user_id) in [("1", "ada"), ("2", "bob"), ("3", "ada"), ("4", "ada"), ("5", "bob")] {
        all.push(desk.places_for(user_id, saga).await);
    }
    for paid in ["1", "2", "4"] {
        let order_no = &all[paid.parse::<usize>().unwrap() - 1];
        assert_eq!(desk.moves(paid, "pay", order_no).await, "OK");
    }
    let of = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| all[number - 1].clone()).collect()
    };
    let (any, paid) = (OrderState::Unspecified, OrderState::Paid);
    assert_eq!(desk.listed("", any).await, of(&[5, 4, 3, 2, 1]));
    assert_eq!(desk.listed("ada", any).await, of(&[4, 3, 1]));
    assert_eq!(desk.listed("", paid).await, of(&[4, 2, 1]));
    assert_eq!(desk.listed("ada", paid).await, of(&[4, 1]));
    assert_eq!(desk.listed("bob", OrderState::Created).await, of(&[5]));
    assert_eq!(desk.listed("eve", any).await, of(&[]));
    assert_eq!(desk.listed("", OrderState::Returned).await, of(&[]));

    let page = desk.page("ada", any, "").await;
    assert_eq!(page.orders[0], desk.order(&all[3]).await, "a list tells as much as a read");
}

#[tokio::test]
async fn an_order_that_comes_between_two_pages_moves_none_of_them() {
    let desk = Desk::open().await;
    for saga in ["1", "2", "3"] {
        desk.places(saga).await;
    }
    let any = OrderState::Unspecified;
    let expected = desk.listed("", any).await;
    let first = desk.page("", any, "").await;
    desk.places("4").await;
    let second = desk.page("", any, &first.next_page_token).await;
    let seen = first.orders.into_iter().chain(second.orders).map(|order| order.order_no);
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let desk = Desk::open().await;
    for saga in ["1", "2", "3"] {
        desk.places(saga).await;
    }
    let page_token = desk.page("ada", OrderState::Created, "").await.next_page_token;
    for (user_id, state) in [("", OrderState::Created), ("ada", OrderState::Paid)] {
        let user_id = user_id.to_owned();
        let request = ListOrdersRequest {
            user_id,
            state: state.into(),
            page_size: 2,
            page_token: page_token.clone(),
        };
        assert_eq!(paths(&desk.client().list_orders(request).await.unwrap_err()), ["page_token"]);
    }
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let desk = Desk::open().await;
    let placed = desk.places("s1").await;
    let shipped = desk.has("s2", OrderState::Shipped).await;
    desk.moves("s3", "begin", &shipped).await;
    let before = (desk.order(&placed).await, desk.order(&shipped).await);

    let desk = desk.reopened().await;
    assert_eq!((desk.order(&placed).await, desk.order(&shipped).await), before);
    assert_eq!(desk.places("s1").await, placed, "a repeat, from the inbox");
    assert_eq!(desk.moves("s3", "abandon", &shipped).await, "OK");
    assert_eq!(desk.order(&shipped).await.state(), OrderState::Shipped);
}
