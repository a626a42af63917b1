//! Requests that break a rule, and steps that are none: refused with every violation, and nothing is written.

use proto::stock::v1::{
    GetProductRequest, GetStockRequest, ListFlowsRequest, ListProductsRequest, QuoteRequest,
    UpsertProductRequest,
};
use tonic::{Code, Request, Status};

use crate::shop::{
    Shop, add, confirm, euros, freeze, lines, paths, restock, step, undo, unfreeze, upsert,
};

#[tokio::test]
async fn a_request_that_breaks_rules_is_told_all_of_them_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let (mut client, long) = (shop.client(), "x".repeat(201));
    let negative = Some(proto::facade::v1::Money { currency: "eur".to_owned(), minor_units: -1 });
    let wrong = UpsertProductRequest { title: long, price: negative, ..upsert("", "a b") };
    let bare = UpsertProductRequest { price: None, ..upsert("1", "tea") };
    let dear = UpsertProductRequest { price: Some(euros(i64::MAX)), ..upsert("1", "tea") };
    let many: Vec<_> = (0..101).map(|number| format!("sku-{number}")).collect();
    let many: Vec<_> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
    let twice = [("tea", 0), ("tea", 1_000_001)];

    let refused: [(Result<(), Status>, &[&str]); 16] = [
        (
            client.upsert_product(wrong).await.map(|_| ()),
            &["price.currency", "price.minor_units", "request_id", "sku", "title"],
        ),
        (client.upsert_product(bare).await.map(|_| ()), &["price"]),
        (client.upsert_product(dear).await.map(|_| ()), &["price.minor_units"]),
        (client.add_stock(add("", "", 0)).await.map(|_| ()), &["quantity", "request_id", "sku"]),
        (client.add_stock(add("1", "tea", -1)).await.map(|_| ()), &["quantity"]),
        (client.add_stock(add("1", "tea", i64::MAX)).await.map(|_| ()), &["quantity"]),
        (
            client.freeze(step("s", freeze("", &twice))).await.map(|_| ()),
            &["lines", "lines[0].quantity", "lines[1].quantity", "order_no"],
        ),
        (client.freeze(step("s", freeze("O-1", &[]))).await.map(|_| ()), &["lines"]),
        (client.freeze(step("s", freeze("O-1", &many))).await.map(|_| ()), &["lines"]),
        (client.confirm(step("s", confirm("O 1"))).await.map(|_| ()), &["order_no"]),
        (client.unfreeze(undo("s", unfreeze(""))).await.map(|_| ()), &["order_no"]),
        (client.restock(step("s", restock(""))).await.map(|_| ()), &["order_no"]),
        (
            client.quote(step("s", QuoteRequest { lines: lines(&[("", 1)]) })).await.map(|_| ()),
            &["lines[0].sku"],
        ),
        (client.get_product(GetProductRequest { sku: String::new() }).await.map(|_| ()), &["sku"]),
        (client.get_stock(GetStockRequest { sku: "ü".to_owned() }).await.map(|_| ()), &["sku"]),
        (
            client
                .list_flows(ListFlowsRequest { page_size: -1, ..Default::default() })
                .await
                .map(|_| ()),
            &["page_size", "sku"],
        ),
    ];
    for (answer, expected) in refused {
        let status = stage::refused(answer, Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(paths(&status), expected);
    }
    let request = ListProductsRequest { page_token: "nonsense".to_owned(), ..Default::default() };
    assert_eq!(paths(&client.list_products(request).await.unwrap_err()), ["page_token"]);

    assert_eq!((shop.units("tea").await, shop.flows("tea").await.len()), ((5, 0, 0), 1));
    let listed = client.list_products(ListProductsRequest::default()).await.unwrap();
    assert_eq!(listed.get_ref().products.len(), 1);
    assert_eq!(shop.freezes("s", &[("tea", 1)]).await, "OK", "the refused ones took no key");
}

#[tokio::test]
async fn a_step_that_is_called_outside_a_saga_is_refused() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    let mut client = shop.client();
    let mut half = Request::new(confirm("O-1"));
    half.metadata_mut().insert("saga-id", "s".parse().unwrap());
    let backwards = undo("s", unfreeze("O-1")).map(|_| freeze("O-1", &[("tea", 1)]));

    let refused = [
        client.quote(QuoteRequest { lines: lines(&[("tea", 1)]) }).await.map(|_| ()),
        client.freeze(freeze("O-1", &[("tea", 1)])).await.map(|_| ()),
        client.confirm(confirm("O-1")).await.map(|_| ()),
        client.unfreeze(unfreeze("O-1")).await.map(|_| ()),
        client.restock(restock("O-1")).await.map(|_| ()),
        client.confirm(half).await.map(|_| ()),
        client.freeze(backwards).await.map(|_| ()),
        client.unfreeze(step("s", unfreeze("O-1"))).await.map(|_| ()),
    ];
    for answer in refused {
        stage::refused(answer, Code::InvalidArgument, "NOT_A_SAGA_STEP");
    }
    assert_eq!(shop.units("tea").await, (5, 0, 0));
}
