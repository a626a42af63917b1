//! A stock service on a database of its own, and how its callers speak to it.

use std::time::Duration;

use proto::stock::v1::{
    AddStockRequest, ConfirmRequest, Flow, FreezeRequest, GetStockRequest, Line, ListFlowsRequest,
    RestockRequest, UnfreezeRequest, UpsertProductRequest,
    stock_service_client::StockServiceClient,
};
use stage::{Open, ServiceUnderTest};
use tonic::{Request, service::Routes};

pub(crate) use stage::{code, euros, message, paths, step};

pub(crate) type Client = StockServiceClient<Routes>;

pub(crate) struct Shop(ServiceUnderTest);

impl Shop {
    pub(crate) async fn open() -> Self {
        let open: Open = |folder, facade| Box::pin(stock_svc::open(folder, facade));
        Self(ServiceUnderTest::open("stock.db", open).await)
    }

    /// One that keeps its answers to sagas for a day.
    pub(crate) async fn keeping_a_day() -> Self {
        let open: Open = |folder, facade| {
            let facade = facade.keeping_inbox(Some("1d".parse().unwrap()));
            Box::pin(stock_svc::open(folder, facade))
        };
        Self(ServiceUnderTest::open("stock.db", open).await)
    }

    /// The same shop after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        Self(self.0.reopened().await)
    }

    pub(crate) fn client(&self) -> Client {
        StockServiceClient::new(self.0.routes())
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }

    /// Puts a product on sale, with so many units.
    pub(crate) async fn sells(&self, sku: &str, quantity: i64) {
        let product = self.client().upsert_product(upsert(&format!("{sku}-product"), sku)).await;
        assert_eq!(code(product.unwrap().get_ref()), "OK");
        if quantity > 0 {
            let added = self.client().add_stock(add(&format!("{sku}-units"), sku, quantity)).await;
            assert_eq!(code(added.unwrap().get_ref()), "OK");
        }
    }

    /// Freezes in a saga named after the order, and gives the code.
    pub(crate) async fn freezes(&self, order_no: &str, lines: &[(&str, i64)]) -> String {
        let frozen = self.client().freeze(step(order_no, freeze(order_no, lines))).await;
        code(frozen.unwrap().get_ref()).to_owned()
    }

    /// Confirms in a saga named after the order, and gives the code.
    pub(crate) async fn confirms(&self, order_no: &str) -> String {
        let confirmed = self.client().confirm(step(order_no, confirm(order_no))).await;
        code(confirmed.unwrap().get_ref()).to_owned()
    }

    /// Undoes the freeze of the saga named after the order, and gives the code.
    pub(crate) async fn unfreezes(&self, order_no: &str) -> String {
        let released = self.client().unfreeze(undo(order_no, unfreeze(order_no))).await;
        code(released.unwrap().get_ref()).to_owned()
    }

    /// Restocks in a saga named after the order, and gives the code.
    pub(crate) async fn restocks(&self, order_no: &str) -> String {
        let back = self.client().restock(step(order_no, restock(order_no))).await;
        code(back.unwrap().get_ref()).to_owned()
    }

    /// Available, frozen, sold.
    pub(crate) async fn units(&self, sku: &str) -> (i64, i64, i64) {
        let answer = self.client().get_stock(GetStockRequest { sku: sku.to_owned() }).await;
        let stock = answer.unwrap().into_inner().stock.unwrap();
        (stock.available, stock.frozen, stock.sold)
    }

    /// The changes of the SKU's units, at most a thousand.
    pub(crate) async fn flows(&self, sku: &str) -> Vec<Flow> {
        let (sku, page_size, page_token) = (sku.to_owned(), 1000, String::new());
        let request = ListFlowsRequest { sku, page_size, page_token };
        self.client().list_flows(request).await.unwrap().into_inner().flows
    }
}

/// A saga's undo of its freeze.
pub(crate) fn undo(saga: &str, request: UnfreezeRequest) -> Request<UnfreezeRequest> {
    stage::undo(saga, stage::name_of::<FreezeRequest>(), request)
}

pub(crate) fn lines(lines: &[(&str, i64)]) -> Vec<Line> {
    lines
        .iter()
        .map(|(sku, quantity)| Line { sku: (*sku).to_owned(), quantity: *quantity })
        .collect()
}

pub(crate) fn freeze(order_no: &str, wanted: &[(&str, i64)]) -> FreezeRequest {
    FreezeRequest { order_no: order_no.to_owned(), lines: lines(wanted) }
}

pub(crate) fn confirm(order_no: &str) -> ConfirmRequest {
    ConfirmRequest { order_no: order_no.to_owned() }
}

pub(crate) fn unfreeze(order_no: &str) -> UnfreezeRequest {
    UnfreezeRequest { order_no: order_no.to_owned(), reason: "declined elsewhere".to_owned() }
}

pub(crate) fn restock(order_no: &str) -> RestockRequest {
    RestockRequest { order_no: order_no.to_owned() }
}

pub(crate) fn upsert(request_id: &str, sku: &str) -> UpsertProductRequest {
    UpsertProductRequest {
        request_id: request_id.to_owned(),
        sku: sku.to_owned(),
        title: format!("Finest {sku}"),
        price: Some(euros(350)),
        on_sale: true,
    }
}

pub(crate) fn add(request_id: &str, sku: &str, quantity: i64) -> AddStockRequest {
    AddStockRequest { request_id: request_id.to_owned(), sku: sku.to_owned(), quantity }
}
