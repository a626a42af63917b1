//! The shop that the clients buy in: goods enough for all, and one member a client who can pay and one who cannot.

use anyhow::Result;
use proto::{
    facade::v1::Money,
    payment::v1::{OpenWalletRequest, TopUpRequest, payment_service_client::PaymentServiceClient},
    points::v1::{EarnRequest, OpenAccountRequest, points_service_client::PointsServiceClient},
    stock::v1::{AddStockRequest, UpsertProductRequest, stock_service_client::StockServiceClient},
};

use crate::process::Process;

pub(crate) const SKUS: u64 = 10;
const PLENTY: i64 = 100_000_000;

pub(crate) fn sku(number: u64) -> String {
    format!("sku-{}", number % SKUS)
}

pub(crate) fn rich(client: u64) -> String {
    format!("rich-{client}")
}

pub(crate) fn poor(client: u64) -> String {
    format!("poor-{client}")
}

fn euros(minor_units: i64) -> Option<Money> {
    Some(Money { currency: "EUR".to_owned(), minor_units })
}

pub(crate) async fn furnish(process: &Process, clients: u64) -> Result<()> {
    let mut stock = StockServiceClient::new(process.channel(2)?);
    for number in 0..SKUS {
        let request_id = format!("r-{number}");
        let product = UpsertProductRequest {
            request_id: request_id.clone(),
            sku: sku(number),
            title: "Goods".to_owned(),
            price: euros(100),
            on_sale: true,
        };
        stock.upsert_product(product).await?;
        let units = AddStockRequest { request_id, sku: sku(number), quantity: PLENTY };
        stock.add_stock(units).await?;
    }
    for client in 0..clients {
        member(process, &rich(client), PLENTY).await?;
        member(process, &poor(client), 1).await?;
    }
    Ok(())
}

async fn member(process: &Process, user: &str, cents: i64) -> Result<()> {
    let (request_id, user_id) = (user.to_owned(), user.to_owned());
    let mut points = PointsServiceClient::new(process.channel(3)?);
    let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
    points.open_account(open).await?;
    let earn =
        EarnRequest { request_id: request_id.clone(), user_id: user_id.clone(), points: PLENTY };
    points.earn(earn).await?;
    let mut payments = PaymentServiceClient::new(process.channel(4)?);
    let currency = "EUR".to_owned();
    let open =
        OpenWalletRequest { request_id: request_id.clone(), user_id: user_id.clone(), currency };
    payments.open_wallet(open).await?;
    payments.top_up(TopUpRequest { request_id, user_id, amount: euros(cents) }).await?;
    Ok(())
}
