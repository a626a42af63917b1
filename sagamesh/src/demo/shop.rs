//! The demo's shop: goods, members and wallets. Filling it again changes nothing.

use std::net::SocketAddr;

use money::Money;
use proto::{
    checkout::v1::checkout_service_client::CheckoutServiceClient,
    facade::v1 as shared,
    payment::v1::{
        GetWalletRequest, OpenWalletRequest, TopUpRequest,
        payment_service_client::PaymentServiceClient,
    },
    points::v1::{
        EarnRequest, GetAccountRequest, OpenAccountRequest,
        points_service_client::PointsServiceClient,
    },
    saga::v1::saga_service_client::SagaServiceClient,
    stock::v1::{
        AddStockRequest, GetStockRequest, UpsertProductRequest,
        stock_service_client::StockServiceClient,
    },
};
use tonic::{Code, Response, Status, transport::Channel};

use crate::{
    connect,
    error::{CommandError, CommandResult},
    mesh::Addresses,
};

/// SKU, title, price in cents, units.
const GOODS: [(&str, &str, i64, i64); 4] = [
    ("tea", "Darjeeling, 100 g", 450, 1_000),
    ("cup", "Cup, blue", 1_290, 200),
    ("pot", "Pot, cast iron", 7_900, 20),
    ("samovar", "Samovar, silver", 249_000, 3),
];

/// Who, points, cents.
const MEMBERS: [(&str, i64, i64); 3] =
    [("ada", 5_000, 100_000), ("bob", 0, 20_000), ("eve", 800, 500)];

/// The shop.
pub(super) struct Shop {
    pub(super) checkout: CheckoutServiceClient<Channel>,
    pub(super) sagas: SagaServiceClient<Channel>,
    stock: StockServiceClient<Channel>,
    points: PointsServiceClient<Channel>,
    payments: PaymentServiceClient<Channel>,
}

/// What a member has, and what is left of some goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Balances {
    pub(super) wallet: String,
    pub(super) points: i64,
    pub(super) available: i64,
    pub(super) frozen: i64,
    pub(super) sold: i64,
}

impl Shop {
    pub(super) fn at(addresses: &Addresses) -> CommandResult<Self> {
        let channel = |address: SocketAddr| connect::channel(&address.to_string());
        Ok(Self {
            checkout: CheckoutServiceClient::new(channel(addresses.orchestrator)?),
            sagas: SagaServiceClient::new(channel(addresses.orchestrator)?),
            stock: StockServiceClient::new(channel(addresses.stock)?),
            points: PointsServiceClient::new(channel(addresses.points)?),
            payments: PaymentServiceClient::new(channel(addresses.payment)?),
        })
    }

    /// Puts the goods on sale, and opens the members' accounts and wallets.
    pub(super) async fn fill(&self) -> CommandResult {
        for (sku, title, cents, units) in GOODS {
            self.add_product(sku, title, cents, units).await?;
        }
        for (user, points, cents) in MEMBERS {
            self.add_member(user, points, cents).await?;
        }
        Ok(())
    }

    async fn add_product(&self, sku: &str, title: &str, cents: i64, units: i64) -> CommandResult {
        let mut stock = self.stock.clone();
        let product = UpsertProductRequest {
            request_id: format!("demo-{sku}"),
            sku: sku.to_owned(),
            title: title.to_owned(),
            price: Some(euros(cents)),
            on_sale: true,
        };
        done(stock.upsert_product(product).await)?;
        let add = AddStockRequest {
            request_id: format!("demo-{sku}"),
            sku: sku.to_owned(),
            quantity: units,
        };
        done(stock.add_stock(add).await)?;
        Ok(())
    }

    async fn add_member(&self, user: &str, points: i64, cents: i64) -> CommandResult {
        let (mut accounts, mut payments) = (self.points.clone(), self.payments.clone());
        let (request_id, user_id) = (format!("demo-{user}"), user.to_owned());
        let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
        done(accounts.open_account(open).await)?;
        if points > 0 {
            let earn =
                EarnRequest { request_id: request_id.clone(), user_id: user_id.clone(), points };
            done(accounts.earn(earn).await)?;
        }
        let currency = "EUR".to_owned();
        let open = OpenWalletRequest {
            request_id: request_id.clone(),
            user_id: user_id.clone(),
            currency,
        };
        done(payments.open_wallet(open).await)?;
        let top_up = TopUpRequest { request_id, user_id, amount: Some(euros(cents)) };
        done(payments.top_up(top_up).await)?;
        Ok(())
    }

    pub(super) async fn balances(&self, user: &str, sku: &str) -> CommandResult<Balances> {
        let (mut stock, mut accounts, mut payments) =
            (self.stock.clone(), self.points.clone(), self.payments.clone());
        let user_id = user.to_owned();
        let account =
            done(accounts.get_account(GetAccountRequest { user_id: user_id.clone() }).await)?;
        let wallet = done(payments.get_wallet(GetWalletRequest { user_id }).await)?;
        let stock = done(stock.get_stock(GetStockRequest { sku: sku.to_owned() }).await)?;
        let stock = stock.stock.unwrap_or_default();
        let balance = wallet.wallet.and_then(|wallet| wallet.balance);
        let balance = balance.as_ref().and_then(|balance| Money::try_from(balance).ok());
        Ok(Balances {
            wallet: balance.map(|balance| balance.to_string()).unwrap_or_default(),
            points: account.account.map_or(0, |account| account.balance),
            available: stock.available,
            frozen: stock.frozen,
            sold: stock.sold,
        })
    }
}

fn euros(minor_units: i64) -> shared::Money {
    shared::Money { currency: "EUR".to_owned(), minor_units }
}

/// A step of the demo that must succeed.
pub(super) fn done<R: proto::Response>(answer: Result<Response<R>, Status>) -> CommandResult<R> {
    let (what, server) = ("the demo cannot go on", "the demo's mesh");
    let next = "give the demo a data folder of its own with --data, and start it again";
    let response = match answer {
        Ok(response) => response.into_inner(),
        Err(status) => {
            let failure = CommandError::of_status(what, server, &status);
            // These statuses come of what an earlier run left in the folder; others, such as UNAVAILABLE, have another
            // cure.
            return Err(match status.code() {
                Code::NotFound | Code::FailedPrecondition | Code::OutOfRange => {
                    failure.with_next_step(next)
                }
                _ => failure,
            });
        }
    };
    match response.result() {
        Some(result) if !result.success => {
            Err(CommandError::of_decline(what, result).with_next_step(next))
        }
        _ => Ok(response),
    }
}
