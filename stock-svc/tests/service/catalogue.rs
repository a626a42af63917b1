//! Products, units that are added, and lists.

use proto::stock::v1::{
    GetProductRequest, GetStockRequest, ListFlowsRequest, ListProductsRequest, UpsertProductRequest,
};
use stage::refused;
use tonic::Code;

use crate::shop::{Shop, add, code, euros, paths, upsert};

#[tokio::test]
async fn a_product_is_created_and_changed_and_keeps_its_units() {
    let shop = Shop::open().await;
    let created = shop.client().upsert_product(upsert("1", "tea")).await.unwrap().into_inner();
    let product = created.product.unwrap();
    assert_eq!((product.sku.as_str(), product.title.as_str()), ("tea", "Finest tea"));
    assert_eq!(shop.units("tea").await, (0, 0, 0));
    shop.client().add_stock(add("2", "tea", 7)).await.unwrap();

    let mut price = euros(0);
    price.currency = "USD".to_owned();
    let change =
        UpsertProductRequest { price: Some(price.clone()), on_sale: false, ..upsert("3", "tea") };
    shop.client().upsert_product(change).await.unwrap();
    let read = shop.client().get_product(GetProductRequest { sku: "tea".to_owned() }).await;
    let product = read.unwrap().into_inner().product.unwrap();
    assert_eq!((product.price, product.on_sale), (Some(price), false));
    assert_eq!(shop.units("tea").await, (7, 0, 0));
}

#[tokio::test]
async fn units_are_added_to_a_product_that_exists() {
    let shop = Shop::open().await;
    shop.sells("tea", 0).await;
    let added = shop.client().add_stock(add("1", "tea", 5)).await.unwrap().into_inner();
    assert_eq!((code(&added), added.stock.as_ref().unwrap().available), ("OK", 5));

    let unknown = shop.client().add_stock(add("2", "pot", 5)).await;
    refused(unknown, Code::NotFound, "SKU_UNKNOWN");
}

#[tokio::test]
async fn an_unknown_product_is_not_found() {
    let shop = Shop::open().await;
    let (mut client, sku) = (shop.client(), || "pot".to_owned());
    let flows = ListFlowsRequest { sku: sku(), ..ListFlowsRequest::default() };
    let refusals = [
        client.get_product(GetProductRequest { sku: sku() }).await.map(|_| ()),
        client.get_stock(GetStockRequest { sku: sku() }).await.map(|_| ()),
        client.list_flows(flows).await.map(|_| ()),
    ];
    for answer in refusals {
        let unknown = refused(answer, Code::NotFound, "SKU_UNKNOWN");
        assert_eq!(unknown.message(), "no product has the SKU pot");
    }
}

#[tokio::test]
async fn products_are_listed_page_by_page_in_the_order_of_their_skus() {
    let shop = Shop::open().await;
    for sku in ["tea", "cup", "pot", "jug", "lid"] {
        shop.sells(sku, 0).await;
    }
    let (mut seen, mut sizes, mut page_token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = ListProductsRequest { page_size: 2, page_token };
        let page = shop.client().list_products(request).await.unwrap().into_inner();
        sizes.push(page.products.len());
        seen.extend(page.products.into_iter().map(|product| product.sku));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.join(" ").as_str(), sizes), ("cup jug lid pot tea", vec![2, 2, 1]));
}

#[tokio::test]
async fn flows_are_listed_page_by_page_and_a_token_is_good_for_its_own_list_only() {
    let shop = Shop::open().await;
    shop.sells("tea", 1).await;
    shop.sells("cup", 1).await;
    for quantity in 2..=5 {
        shop.client().add_stock(add(&quantity.to_string(), "tea", quantity)).await.unwrap();
    }
    let list = |sku: &str, page_token: &str| {
        let (sku, page_token) = (sku.to_owned(), page_token.to_owned());
        let mut client = shop.client();
        async move { client.list_flows(ListFlowsRequest { sku, page_size: 3, page_token }).await }
    };
    let first = list("tea", "").await.unwrap().into_inner();
    let second = list("tea", &first.next_page_token).await.unwrap().into_inner();
    let quantities: Vec<i64> =
        first.flows.iter().chain(&second.flows).map(|flow| flow.quantity).collect();
    assert_eq!((quantities, second.next_page_token.as_str()), (vec![1, 2, 3, 4, 5], ""));

    let foreign = list("cup", &first.next_page_token).await.unwrap_err();
    assert_eq!(paths(&foreign), ["page_token"]);
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let shop = Shop::open().await;
    shop.sells("tea", 5).await;
    shop.freezes("O-1", &[("tea", 2)]).await;
    shop.freezes("O-2", &[("tea", 9)]).await;
    let flows = shop.flows("tea").await;

    let shop = shop.reopened().await;
    assert_eq!((shop.units("tea").await, shop.flows("tea").await), ((3, 2, 0), flows));
    assert_eq!(shop.freezes("O-1", &[("tea", 2)]).await, "OK", "a repeat, from the inbox");
    assert_eq!(shop.freezes("O-2", &[("tea", 9)]).await, "INSUFFICIENT_STOCK");
    assert_eq!(shop.confirms("O-1").await, "OK");
    assert_eq!(shop.units("tea").await, (3, 0, 2));
}
