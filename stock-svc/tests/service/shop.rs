//! A stock service on a database of its own, and how its callers speak to it.

use std::{fs::File, time::Duration};

use clock::{Clock, Hands, Timestamp};
use facade::{Facade, log::Calls, server::Server};
use proto::{
    Response,
    facade::v1::Money,
    stock::v1::{
        AddStockRequest, ConfirmRequest, Flow, FreezeRequest, GetStockRequest, Line,
        ListFlowsRequest, RestockRequest, UnfreezeRequest, UpsertProductRequest,
        stock_service_client::StockServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Request, Status, service::Routes};
use tonic_types::StatusExt;

pub(crate) type Client = StockServiceClient<Routes>;

pub(crate) struct Shop {
    folder: TempDir,
    clock: Clock,
    hands: Hands,
    client: Client,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_123));
        let folder = tempfile::tempdir().unwrap();
        let client = serve(&folder, &clock).await;
        Self { folder, clock, hands, client }
    }

    /// The same shop after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        let Self { folder, clock, hands, client } = self;
        drop(client);
        // The database is free when its lock is.
        let lock = File::open(folder.path().join("stock.db.lock")).unwrap();
        tokio::task::spawn_blocking(move || lock.lock().unwrap()).await.unwrap();
        let client = serve(&folder, &clock).await;
        Self { folder, clock, hands, client }
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.hands.advance(duration);
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

async fn serve(folder: &TempDir, clock: &Clock) -> Client {
    let facade = Facade::new(clock.clone(), Calls::Notable);
    let mount = stock_svc::open(folder.path().to_owned(), facade.clone()).await.unwrap();
    let (service, _health) = Server::new(facade).with(mount).build();
    StockServiceClient::new(service.in_process())
}

/// A saga's call of the step that is named after the request's type.
pub(crate) fn step<Q>(saga: &str, request: Q) -> Request<Q> {
    directed(saga, "forward", std::any::type_name::<Q>(), request)
}

/// A saga's undo of its freeze.
pub(crate) fn undo(saga: &str, request: UnfreezeRequest) -> Request<UnfreezeRequest> {
    directed(saga, "undo", std::any::type_name::<FreezeRequest>(), request)
}

fn directed<Q>(saga: &str, direction: &str, name: &str, request: Q) -> Request<Q> {
    let name = name.rsplit("::").next().unwrap_or(name);
    let mut request = Request::new(request);
    for (key, value) in [("saga-id", saga), ("saga-step", name), ("saga-direction", direction)] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

/// The result's code.
pub(crate) fn code<R: Response>(response: &R) -> &str {
    &response.result().unwrap().code
}

/// The result's sentence.
pub(crate) fn message<R: Response>(response: &R) -> &str {
    &response.result().unwrap().message
}

/// The registered reason of a status that is not OK.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// The paths of the fields that break a rule.
pub(crate) fn paths(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
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

pub(crate) fn euros(minor_units: i64) -> Money {
    Money { currency: "EUR".to_owned(), minor_units }
}
