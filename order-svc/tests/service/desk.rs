//! An order service on a database of its own, and how its callers speak to it.

use std::{fs::File, time::Duration};

use clock::{Clock, Hands, Timestamp};
use facade::{Facade, log::Calls, server::Server};
use proto::{
    Response,
    facade::v1::Money,
    order::v1::{
        AbandonCancelRequest, BeginCancelRequest, Buyer, CancelOrderRequest, CompleteOrderRequest,
        CreateOrderRequest, FinishCancelRequest, GetOrderRequest, Item, MarkPaidRequest, Order,
        OrderState, QuotedItem, ShipOrderRequest, order_service_client::OrderServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Request, Status, service::Routes};
use tonic_types::StatusExt;

pub(crate) type Client = OrderServiceClient<Routes>;

/// What remains to be paid for [`create`]'s order.
pub(crate) const DUE: i64 = 1_100;

pub(crate) struct Desk {
    folder: TempDir,
    clock: Clock,
    hands: Hands,
    client: Client,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let (clock, hands) = Clock::manual(Timestamp(1_700_000_000_123));
        let folder = tempfile::tempdir().unwrap();
        let client = serve(&folder, &clock).await;
        Self { folder, clock, hands, client }
    }

    /// The same desk after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        let Self { folder, clock, hands, client } = self;
        drop(client);
        // The database is free when its lock is.
        let lock = File::open(folder.path().join("order.db.lock")).unwrap();
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

    /// Creates an order in the saga, and gives its number.
    pub(crate) async fn places(&self, saga: &str) -> String {
        let created = self.client().create_order(step(saga, create())).await.unwrap();
        assert_eq!(code(created.get_ref()), "OK");
        created.into_inner().order_no
    }

    /// Creates an order in the saga and brings it to a state.
    pub(crate) async fn has(&self, saga: &str, state: OrderState) -> String {
        let order_no = self.places(saga).await;
        let way: &[&str] = match state {
            OrderState::Unspecified | OrderState::Created => &[],
            OrderState::Paid => &["pay"],
            OrderState::Shipped => &["pay", "ship"],
            OrderState::Completed => &["pay", "ship", "complete"],
            OrderState::Cancelled => &["undo"],
            OrderState::Cancelling => &["pay", "begin"],
            OrderState::Refunded => &["pay", "begin", "finish"],
            OrderState::Returned => &["pay", "ship", "begin", "finish"],
        };
        for name in way {
            assert_eq!(self.moves(saga, name, &order_no).await, "OK", "{name}");
        }
        assert_eq!(self.order(&order_no).await.state(), state);
        order_no
    }

    /// Makes one move in the saga, and gives the code, or the status where it is not OK.
    pub(crate) async fn moves(&self, saga: &str, name: &str, order_no: &str) -> String {
        let mut client = self.client();
        match name {
            "pay" => told(client.mark_paid(step(saga, pay(order_no, DUE))).await),
            "undo" => told(client.cancel_order(undo(saga, "CreateOrder", undo_placing())).await),
            "ship" => told(client.ship_order(ship(saga, order_no)).await),
            "complete" => told(client.complete_order(complete(saga, order_no)).await),
            "begin" => told(client.begin_cancel(step(saga, begin(order_no))).await),
            "abandon" => told(client.abandon_cancel(undo(saga, "BeginCancel", abandon())).await),
            "finish" => told(client.finish_cancel(step(saga, finish(order_no))).await),
            other => panic!("no move is called {other}"),
        }
    }

    pub(crate) async fn order(&self, order_no: &str) -> Order {
        let request = GetOrderRequest { order_no: order_no.to_owned() };
        self.client().get_order(request).await.unwrap().into_inner().order.unwrap()
    }

    /// The order's past, as the states that it went through.
    pub(crate) async fn past(&self, order_no: &str) -> Vec<OrderState> {
        let transitions = self.order(order_no).await.transitions;
        transitions.iter().map(|transition| transition.to()).collect()
    }
}

async fn serve(folder: &TempDir, clock: &Clock) -> Client {
    let facade = Facade::new(clock.clone(), Calls::Notable);
    let mount = order_svc::open(folder.path().to_owned(), facade.clone()).await.unwrap();
    let (service, _health) = Server::new(facade).with(mount).build();
    OrderServiceClient::new(service.in_process())
}

/// A saga's call of the step that is named after the request's type.
pub(crate) fn step<Q>(saga: &str, request: Q) -> Request<Q> {
    let name = std::any::type_name::<Q>();
    let name = name.rsplit("::").next().unwrap_or(name).trim_end_matches("Request");
    directed(saga, "forward", name, request)
}

/// A saga's undo of a step.
pub(crate) fn undo<Q>(saga: &str, name: &str, request: Q) -> Request<Q> {
    directed(saga, "undo", name, request)
}

fn directed<Q>(saga: &str, direction: &str, name: &str, request: Q) -> Request<Q> {
    let mut request = Request::new(request);
    for (key, value) in [("saga-id", saga), ("saga-step", name), ("saga-direction", direction)] {
        request.metadata_mut().insert(key, value.parse().unwrap());
    }
    request
}

/// The result's code, or the status where it is not OK.
pub(crate) fn told<R: Response>(answer: Result<tonic::Response<R>, Status>) -> String {
    match answer {
        Ok(response) => code(response.get_ref()).to_owned(),
        Err(status) => format!("{:?} {}", status.code(), reason(&status)),
    }
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

/// Two teas and a cup for 16.00, less 500 points.
pub(crate) fn create() -> CreateOrderRequest {
    CreateOrderRequest {
        user_id: "ada".to_owned(),
        items: vec![item("tea", 2), item("cup", 1)],
        points: 500,
        // Not in the order of the items, and one that nobody asked about.
        quotes: vec![quote("cup", 900), quote("pot", 9_999), quote("tea", 350)],
        buyer: Some(Buyer { found: true, suspended: false, points_balance: 500 }),
    }
}

pub(crate) fn item(sku: &str, quantity: i64) -> Item {
    Item { sku: sku.to_owned(), quantity }
}

pub(crate) fn quote(sku: &str, price: i64) -> QuotedItem {
    let price = Some(euros(price));
    QuotedItem { sku: sku.to_owned(), found: true, on_sale: true, price, available: 10 }
}

pub(crate) fn pay(order_no: &str, minor_units: i64) -> MarkPaidRequest {
    MarkPaidRequest { order_no: order_no.to_owned(), paid: Some(euros(minor_units)) }
}

pub(crate) fn undo_placing() -> CancelOrderRequest {
    CancelOrderRequest { reason: "declined elsewhere".to_owned() }
}

pub(crate) fn begin(order_no: &str) -> BeginCancelRequest {
    BeginCancelRequest {
        order_no: order_no.to_owned(),
        user_id: "ada".to_owned(),
        reason: "too late".to_owned(),
        was_placing: false,
    }
}

pub(crate) fn abandon() -> AbandonCancelRequest {
    AbandonCancelRequest { reason: "kept".to_owned() }
}

pub(crate) fn finish(order_no: &str) -> FinishCancelRequest {
    FinishCancelRequest { order_no: order_no.to_owned() }
}

pub(crate) fn ship(request_id: &str, order_no: &str) -> ShipOrderRequest {
    ShipOrderRequest { order_no: order_no.to_owned(), request_id: request_id.to_owned() }
}

pub(crate) fn complete(request_id: &str, order_no: &str) -> CompleteOrderRequest {
    CompleteOrderRequest { order_no: order_no.to_owned(), request_id: request_id.to_owned() }
}

pub(crate) fn euros(minor_units: i64) -> Money {
    Money { currency: "EUR".to_owned(), minor_units }
}
