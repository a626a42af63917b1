//! An order service on a database of its own, and how its callers speak to it.

use std::time::Duration;

use proto::order::v1::{
    AbandonCancelRequest, BeginCancelRequest, Buyer, CancelOrderRequest, CompleteOrderRequest,
    CreateOrderRequest, FinishCancelRequest, GetOrderRequest, Item, MarkPaidRequest, Order,
    OrderState, QuotedItem, ShipOrderRequest, order_service_client::OrderServiceClient,
};
use stage::{Open, ServiceUnderTest};
use tonic::service::Routes;

pub(crate) use stage::{code, code_or_status, euros, message, paths, reason, step, undo};

pub(crate) type Client = OrderServiceClient<Routes>;

/// What remains to be paid for [`create`]'s order.
pub(crate) const DUE: i64 = 1_100;

pub(crate) struct Desk(ServiceUnderTest);

impl Desk {
    pub(crate) async fn open() -> Self {
        let open: Open = |folder, facade| Box::pin(order_svc::open(folder, facade));
        Self(ServiceUnderTest::open("order.db", open).await)
    }

    /// The same desk after its process has ended and another has begun.
    pub(crate) async fn reopened(self) -> Self {
        Self(self.0.reopened().await)
    }

    pub(crate) fn client(&self) -> Client {
        OrderServiceClient::new(self.0.routes())
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.advance(duration);
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
        self.brings(saga, &order_no, state).await;
        order_no
    }

    /// Brings the order that the saga has created to a state.
    pub(crate) async fn brings(&self, saga: &str, order_no: &str, state: OrderState) {
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
            assert_eq!(self.moves(saga, name, order_no).await, "OK", "{name}");
        }
        assert_eq!(self.order(order_no).await.state(), state);
    }

    /// Makes one move in the saga, and gives the code, or the status where it is not OK.
    pub(crate) async fn moves(&self, saga: &str, name: &str, order_no: &str) -> String {
        let mut client = self.client();
        match name {
            "pay" => code_or_status(client.mark_paid(step(saga, pay(order_no, DUE))).await),
            "undo" => {
                code_or_status(client.cancel_order(undo(saga, "CreateOrder", undo_placing())).await)
            }
            "ship" => code_or_status(client.ship_order(ship(saga, order_no)).await),
            "complete" => code_or_status(client.complete_order(complete(saga, order_no)).await),
            "begin" => code_or_status(client.begin_cancel(step(saga, begin(order_no))).await),
            "abandon" => {
                code_or_status(client.abandon_cancel(undo(saga, "BeginCancel", abandon())).await)
            }
            "finish" => code_or_status(client.finish_cancel(step(saga, finish(order_no))).await),
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

/// Two teas and a cup for 16.00, less 500 points.
pub(crate) fn create() -> CreateOrderRequest {
    CreateOrderRequest {
        user_id: "ada".to_owned(),
        items: vec![item("tea", 2), item("cup", 1)],
        points: 500,
        // Not in the order of the items, and one that nobody asked about.
        quotes: vec![quote("cup", 900), quote("pot", 9_999), quote("tea", 350)],
        buyer: Some(Buyer { found: true, suspended: false, points_balance: 500 }),
        submit_token: String::new(),
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
