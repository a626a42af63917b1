//! What stories need of a shop: goods, members, orders, and whether the books add up.

use proto::{
    checkout::v1::{
        CancelOrderRequest, CancelOrderResponse, Line, PlaceOrderRequest, PlaceOrderResponse,
    },
    facade::v1::{Money, ResultInfo},
    order::v1::{GetOrderRequest, Order, OrderState},
    payment::v1::{GetWalletRequest, OpenWalletRequest, TopUpRequest},
    points::v1::{EarnRequest, GetAccountRequest, OpenAccountRequest},
    saga::v1::{
        Event, EventKind, ListSagasRequest, Saga, SagaState, WaitSagaRequest, WatchSagaRequest,
    },
    stock::v1::{AddStockRequest, GetStockRequest, Stock, UpsertProductRequest},
};

use crate::Mesh;

/// What tea costs, in cents.
pub const TEA: i64 = 450;

/// So many euro cents.
#[must_use]
pub fn euros(minor_units: i64) -> Option<Money> {
    Some(Money { currency: "EUR".to_owned(), minor_units })
}

/// An order of one kind of goods.
#[must_use]
pub fn order(token: &str, user: &str, sku: &str, quantity: i64) -> PlaceOrderRequest {
    PlaceOrderRequest {
        submit_token: token.to_owned(),
        user_id: user.to_owned(),
        lines: vec![Line { sku: sku.to_owned(), quantity }],
        points: 0,
    }
}

/// A cancel of an order.
#[must_use]
pub fn cancel(token: &str, user: &str, order_no: &str) -> CancelOrderRequest {
    CancelOrderRequest {
        submit_token: token.to_owned(),
        user_id: user.to_owned(),
        order_no: order_no.to_owned(),
        reason: "changed my mind".to_owned(),
    }
}

/// The code of a result that must be there.
#[must_use]
pub fn code(result: Option<&ResultInfo>) -> String {
    result.expect("every response has a result").code.clone()
}

/// Money and goods as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balances {
    /// Units of tea.
    pub tea: (i64, i64, i64),
    /// Ada's wallet, in cents.
    pub wallet: i64,
    /// Ada's points.
    pub points: i64,
}

impl Mesh {
    /// Tea (100 units), and Ada with 1,000 points and 10,000 cents.
    pub async fn open_shop(&self) {
        self.add_goods("tea", TEA, 100).await;
        self.add_member("ada", 1_000, 10_000).await;
    }

    /// Puts goods on sale.
    pub async fn add_goods(&self, sku: &str, price: i64, units: i64) {
        let mut stock = self.stock();
        let product = UpsertProductRequest {
            request_id: format!("product-{sku}"),
            sku: sku.to_owned(),
            title: format!("Fine {sku}"),
            price: euros(price),
            on_sale: true,
        };
        let answer = stock.upsert_product(product).await.unwrap().into_inner();
        assert_eq!(code(answer.result.as_ref()), "OK");
        if units > 0 {
            let units = AddStockRequest {
                request_id: format!("units-{sku}"),
                sku: sku.to_owned(),
                quantity: units,
            };
            let answer = stock.add_stock(units).await.unwrap().into_inner();
            assert_eq!(code(answer.result.as_ref()), "OK");
        }
    }

    /// Opens a member's account and wallet and fills both.
    pub async fn add_member(&self, user: &str, points: i64, cents: i64) {
        let (user_id, request_id) = (user.to_owned(), format!("open-{user}"));
        let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
        self.points().open_account(open).await.unwrap();
        if points > 0 {
            let earn = EarnRequest {
                request_id: format!("earn-{user}"),
                user_id: user_id.clone(),
                points,
            };
            self.points().earn(earn).await.unwrap();
        }
        let currency = "EUR".to_owned();
        let open = OpenWalletRequest { request_id, user_id: user_id.clone(), currency };
        self.payments().open_wallet(open).await.unwrap();
        if cents > 0 {
            let top_up =
                TopUpRequest { request_id: format!("fill-{user}"), user_id, amount: euros(cents) };
            self.payments().top_up(top_up).await.unwrap();
        }
    }

    /// Places an order and gives the answer, whatever it is.
    pub async fn place(&self, request: PlaceOrderRequest) -> PlaceOrderResponse {
        self.checkout().place_order(request).await.unwrap().into_inner()
    }

    /// Places an order that must succeed.
    pub async fn place_successfully(&self, request: PlaceOrderRequest) -> PlaceOrderResponse {
        let placed = self.place(request).await;
        assert_eq!(code(placed.result.as_ref()), "OK", "{placed:?}");
        placed
    }

    /// Cancels an order and gives the answer, whatever it is.
    pub async fn cancel(&self, request: CancelOrderRequest) -> CancelOrderResponse {
        self.checkout().cancel_order(request).await.unwrap().into_inner()
    }

    /// One order.
    pub async fn order(&self, order_no: &str) -> Order {
        let request = GetOrderRequest { order_no: order_no.to_owned() };
        self.orders()
            .get_order(request)
            .await
            .unwrap()
            .into_inner()
            .order
            .expect("the order exists")
    }

    /// The state of one order.
    pub async fn order_state(&self, order_no: &str) -> OrderState {
        self.order(order_no).await.state()
    }

    /// The units of one SKU.
    pub async fn units(&self, sku: &str) -> Stock {
        let request = GetStockRequest { sku: sku.to_owned() };
        self.stock().get_stock(request).await.unwrap().into_inner().stock.expect("the SKU exists")
    }

    /// A wallet's balance, in cents.
    pub async fn wallet(&self, user: &str) -> i64 {
        let request = GetWalletRequest { user_id: user.to_owned() };
        let wallet = self.payments().get_wallet(request).await.unwrap().into_inner().wallet;
        wallet.and_then(|wallet| wallet.balance).expect("the wallet exists").minor_units
    }

    /// An account's points.
    pub async fn points_of(&self, user: &str) -> i64 {
        let request = GetAccountRequest { user_id: user.to_owned() };
        self.points()
            .get_account(request)
            .await
            .unwrap()
            .into_inner()
            .account
            .expect("the account exists")
            .balance
    }

    /// Tea, and what Ada has.
    pub async fn balances(&self) -> Balances {
        let tea = self.units("tea").await;
        Balances {
            tea: (tea.available, tea.frozen, tea.sold),
            wallet: self.wallet("ada").await,
            points: self.points_of("ada").await,
        }
    }

    /// One saga, once it has ended or for half a minute.
    pub async fn ended(&self, saga_id: &str) -> Saga {
        let request = WaitSagaRequest { saga_id: saga_id.to_owned(), ..WaitSagaRequest::default() };
        self.sagas().wait_saga(request).await.unwrap().into_inner().saga.expect("the saga exists")
    }

    /// Every saga in one of these states.
    pub async fn sagas_in(&self, states: &[SagaState]) -> Vec<Saga> {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let request = ListSagasRequest { states, page_size: 1000, ..ListSagasRequest::default() };
        self.sagas().list_sagas(request).await.unwrap().into_inner().sagas
    }
}

impl Mesh {
    /// What a saga's journal tells, once the saga has ended.
    pub async fn saga_events(&self, saga_id: &str) -> Vec<Event> {
        let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
        let mut events = self.sagas().watch_saga(request).await.unwrap().into_inner();
        let mut story = Vec::new();
        while let Some(response) = events.message().await.unwrap() {
            story.extend(response.event);
        }
        story
    }

    /// Waits until a node has taken the saga up again.
    pub async fn recovered(&self, saga_id: &str) {
        let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
        let mut events = self.sagas().watch_saga(request).await.unwrap().into_inner();
        while let Some(response) = events.message().await.unwrap() {
            let kind = response.event.map(|event| event.kind());
            if kind == Some(EventKind::Recovered) {
                return;
            }
        }
        panic!("the saga ended before it was taken up again");
    }
}
