//! The shop: what is in it at the start, and how it is asked.

use std::time::Duration;

use anyhow::{Result, bail};
use clock::Clock;
use live::Clients;
use proto::{
    order::v1::{ListOrdersRequest, Order, OrderState},
    payment::v1::GetWalletRequest,
    points::v1::GetAccountRequest,
    saga::v1::{ListSagasRequest, Saga, SagaState},
    stock::v1::{GetStockRequest, Stock},
};
use tonic::Status;

use crate::record::{Answer, Request};

/// One kind of goods.
pub(crate) struct Goods {
    pub(crate) sku: &'static str,
    price: i64,
    pub(crate) units: i64,
}

/// Plenty of each, but for the last: that one runs out, and comes back with a cancel.
pub(crate) const GOODS: [Goods; 4] = [
    Goods { sku: "tea", price: 450, units: 10_000_000 },
    Goods { sku: "pot", price: 2_100, units: 10_000_000 },
    Goods { sku: "cup", price: 300, units: 10_000_000 },
    Goods { sku: "rare", price: 5_000, units: 12 },
];

/// Members who can pay.
pub(crate) const USERS: u32 = 8;
/// A member whose wallet is empty: declined at payment, after stock and points were taken.
pub(crate) const USER_WITHOUT_MONEY: &str = "poor";
/// What each has at the start.
pub(crate) const POINTS: i64 = 1_000_000;
pub(crate) const CENTS: i64 = 10_000_000_000;

/// The deadline of a request; the caller gives up then and asks again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// By then every saga must have ended.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) fn user(number: u32) -> String {
    format!("user-{number}")
}

/// Everybody who may order, with the cents each has at the start.
pub(crate) fn members() -> impl Iterator<Item = (String, i64)> {
    (0..USERS).map(|number| (user(number), CENTS)).chain([(USER_WITHOUT_MONEY.to_owned(), 0)])
}

/// The shop, as its clients see it. A clone shares the connections.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    pub(crate) clients: Clients,
    clock: Clock,
}

impl Shop {
    /// The one on these ports. Connects when it is first asked.
    pub(crate) fn at(port_base: u16, clock: Clock) -> Result<Self> {
        Ok(Self { clients: Clients::at(port_base)?, clock })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        match self.clock.timeout(REQUEST_TIMEOUT, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(clock::Elapsed) => Err(Status::deadline_exceeded("the client gave up")),
        }
    }

    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Status> {
        let mut checkout = self.clients.checkout.clone();
        match request.clone() {
            Request::Place(request) => {
                self.within(checkout.place_order(request)).await.map(Answer::Place)
            }
            Request::Cancel(request) => {
                self.within(checkout.cancel_order(request)).await.map(Answer::Cancel)
            }
        }
    }

    pub(crate) async fn order_being_placed(&self, user: &str) -> Result<Option<Order>, Status> {
        let mut orders = self.clients.orders.clone();
        let request = ListOrdersRequest {
            user_id: user.to_owned(),
            state: OrderState::Created.into(),
            page_size: 1,
            page_token: String::new(),
        };
        let response = self.within(orders.list_orders(request)).await?;
        Ok(response.orders.into_iter().next())
    }

    /// Puts goods on sale, and opens accounts and wallets.
    pub(crate) async fn fill(&self) -> Result<(), Status> {
        for Goods { sku, price, units } in &GOODS {
            self.clients.add_goods(sku, *price, *units).await?;
        }
        for (user, cents) in members() {
            self.clients.add_member(&user, POINTS, cents).await?;
        }
        Ok(())
    }

    async fn sagas_in(&self, states: &[SagaState]) -> Result<Vec<Saga>, Status> {
        let states = states.iter().map(|state| i32::from(*state)).collect();
        let request = ListSagasRequest { states, page_size: 1_000, ..ListSagasRequest::default() };
        Ok(self.within(self.clients.sagas.clone().list_sagas(request)).await?.sagas)
    }

    /// Waits until no saga is living; gives those that need a person.
    pub(crate) async fn settle(&self) -> Result<Vec<String>> {
        let until = self.clock.now().after(WAIT_TIMEOUT);
        loop {
            let unfinished = self.sagas_in(&[SagaState::Running, SagaState::Compensating]).await?;
            let Some(one) = unfinished.first() else { break };
            if self.clock.now() > until {
                bail!(
                    "{} sagas still live after {WAIT_TIMEOUT:?}, one is {one:?}",
                    unfinished.len()
                );
            }
            self.clock.sleep(Duration::from_millis(50)).await;
        }
        let in_attention = self.sagas_in(&[SagaState::Attention, SagaState::Paused]).await?;
        Ok(in_attention.iter().map(|saga| format!("a saga needs a person: {saga:?}")).collect())
    }

    /// Every order there is.
    pub(crate) async fn all_orders(&self) -> Result<Vec<Order>, Status> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListOrdersRequest { page_size: 1_000, page_token, ..Default::default() };
            let response = self.within(self.clients.orders.clone().list_orders(request)).await?;
            all.extend(response.orders);
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn units(&self, sku: &str) -> Result<Stock, Status> {
        let request = GetStockRequest { sku: sku.to_owned() };
        Ok(self
            .within(self.clients.stock.clone().get_stock(request))
            .await?
            .stock
            .unwrap_or_default())
    }

    /// Points and cents of a member.
    pub(crate) async fn balances(&self, user: &str) -> Result<(i64, i64), Status> {
        let user_id = user.to_owned();
        let request = GetAccountRequest { user_id: user_id.clone() };
        let account = self.within(self.clients.points.clone().get_account(request)).await?.account;
        let request = GetWalletRequest { user_id };
        let wallet = self.within(self.clients.payments.clone().get_wallet(request)).await?.wallet;
        let cents = wallet.and_then(|wallet| wallet.balance).unwrap_or_default().minor_units;
        Ok((account.unwrap_or_default().balance, cents))
    }
}
