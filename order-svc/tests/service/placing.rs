//! Creating an order: what it costs, and what the checks say no to.

use proto::order::v1::{CreateOrderRequest, ListOrdersRequest, OrderState};

use crate::desk::{Desk, code, create, euros, item, message, paths, quote, step};

#[tokio::test]
async fn an_order_is_created_at_the_quoted_prices() {
    let desk = Desk::open().await;
    let created = desk.client().create_order(step("s1", create())).await.unwrap().into_inner();
    assert_eq!((code(&created), created.state()), ("OK", OrderState::Created));
    assert_eq!((&created.total, &created.payable), (&Some(euros(1_600)), &Some(euros(1_100))));
    let lines: Vec<_> =
        created.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("tea", 2), ("cup", 1)]);
    assert_eq!(created.lines[0].unit_price, Some(euros(350)));
    assert!(created.order_no.starts_with("O-") && created.order_no.len() == 34);

    let order = desk.order(&created.order_no).await;
    assert_eq!((order.user_id.as_str(), order.saga_id.as_str()), ("ada", "s1"));
    assert_eq!((order.state(), &order.lines), (OrderState::Created, &created.lines));
    assert_eq!((&order.total, order.points, &order.paid), (&created.total, 500, &None));
    let at = order.created_at.unwrap();
    assert_eq!((at.seconds, at.nanos), (1_700_000_000, 123_000_000));
    let [first] = order.transitions.try_into().unwrap();
    assert_eq!((first.from(), first.to()), (OrderState::Unspecified, OrderState::Created));
    assert_eq!(first.at, Some(at));
}

#[tokio::test]
async fn an_order_that_points_pay_for_leaves_nothing_to_pay() {
    let desk = Desk::open().await;
    let mut request = CreateOrderRequest { points: 1_600, ..create() };
    request.buyer.as_mut().unwrap().points_balance = 1_600;
    let created = desk.client().create_order(step("s1", request)).await.unwrap().into_inner();
    assert_eq!((code(&created), &created.payable), ("OK", &Some(euros(0))));
}

#[tokio::test]
async fn every_check_declines_in_its_own_words_and_creates_nothing() {
    type Change = fn(&mut CreateOrderRequest);
    let desk = Desk::open().await;
    let declined: [(Change, &str, &str); 12] = [
        (|request| request.buyer.as_mut().unwrap().found = false, "USER_UNKNOWN", "user id ada"),
        (|request| request.buyer.as_mut().unwrap().suspended = true, "USER_SUSPENDED", "ada is"),
        (|request| request.quotes[2].found = false, "SKU_UNKNOWN", "the SKU tea"),
        (|request| drop(request.quotes.pop()), "SKU_UNKNOWN", "the SKU tea"),
        (|request| request.quotes.clear(), "SKU_UNKNOWN", "the SKU tea"),
        (|request| request.quotes[0].on_sale = false, "NOT_ON_SALE", "cup is not on sale"),
        (
            |request| request.quotes[0].price.as_mut().unwrap().currency = "USD".to_owned(),
            "CURRENCY_MISMATCH",
            "EUR and in USD",
        ),
        (
            |request| request.quotes[0].price = Some(euros(1_000_000_000_000)),
            "AMOUNT_OUT_OF_RANGE",
            "limit of 1000000000000",
        ),
        (
            |request| {
                request.items = (0..100).map(|n| item(&format!("sku-{n}"), 1_000_000)).collect();
                request.quotes =
                    (0..100).map(|n| quote(&format!("sku-{n}"), 1_000_000_000_000)).collect();
            },
            "AMOUNT_OUT_OF_RANGE",
            "limit of 1000000000000",
        ),
        (|request| request.points = 1_601, "POINTS_EXCEED_TOTAL", "1601 points"),
        (|request| request.points = 501, "INSUFFICIENT_POINTS", "501 points asked for, 500"),
        (|request| request.quotes[2].available = 1, "INSUFFICIENT_STOCK", "tea: 2 asked for, 1"),
    ];
    for (number, (change, reason, sentence)) in declined.into_iter().enumerate() {
        let mut request = create();
        change(&mut request);
        let saga = format!("s{number}");
        let answer = desk.client().create_order(step(&saga, request)).await.unwrap().into_inner();
        assert_eq!(code(&answer), reason);
        assert!(message(&answer).contains(sentence), "{}", message(&answer));
        assert!(answer.order_no.is_empty());
    }
    let listed = desk.client().list_orders(ListOrdersRequest::default()).await.unwrap();
    assert!(listed.get_ref().orders.is_empty());
}

#[tokio::test]
async fn a_product_that_was_found_must_come_with_its_price() {
    let desk = Desk::open().await;
    let mut request = create();
    request.quotes[1].price = None;
    let refused = desk.client().create_order(step("s1", request)).await.unwrap_err();
    assert_eq!(paths(&refused), ["quotes[1].price"]);
}
