//! The shop of all workloads but `noop`: 100 SKUs and 1,000 users, two lines an order.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use proto::{
    checkout::v1::{Line, PlaceOrderRequest, checkout_service_client::CheckoutServiceClient},
    facade::v1::Money,
    payment::v1::{OpenWalletRequest, TopUpRequest, payment_service_client::PaymentServiceClient},
    points::v1::{EarnRequest, OpenAccountRequest, points_service_client::PointsServiceClient},
    stock::v1::{AddStockRequest, UpsertProductRequest, stock_service_client::StockServiceClient},
};
use tonic::{Code, transport::Channel};

use crate::{
    arguments::Workload,
    load::{Completion, Operation},
};

const SKUS: u64 = 100;
const USERS: u64 = 1_000;
const CURRENCY: &str = "EUR";
/// The units of each SKU, and the money and points of each member: more than any run can sell or spend.
const INITIAL_BALANCE: i64 = 1_000_000_000;

pub(crate) fn euros(minor_units: i64) -> Option<Money> {
    Some(Money { currency: CURRENCY.to_owned(), minor_units })
}

pub(crate) fn sku(number: u64) -> String {
    format!("sku-{}", number % SKUS)
}

fn user(number: u64) -> String {
    format!("user-{}", number % USERS)
}

/// Fills the shop. `decline`: the wallets stay empty.
pub(crate) async fn seed(channels: &[Channel], workload: Workload) -> Result<()> {
    let [_, _, stock, points, payment] = channels else { bail!("the shop has five addresses") };
    let goods = futures::stream::iter(0..SKUS).map(Ok::<_, tonic::Status>);
    goods
        .try_for_each_concurrent(32, |number| {
            let mut stock = StockServiceClient::new(stock.clone());
            async move {
                let request_id = format!("r-{number}");
                let product = UpsertProductRequest {
                    request_id: request_id.clone(),
                    sku: sku(number),
                    title: "Goods".to_owned(),
                    price: euros(100),
                    on_sale: true,
                };
                stock.upsert_product(product).await?;
                let units =
                    AddStockRequest { request_id, sku: sku(number), quantity: INITIAL_BALANCE };
                stock.add_stock(units).await.map(|_| ())
            }
        })
        .await
        .context("filling the catalogue")?;
    let members = futures::stream::iter(0..USERS).map(Ok::<_, tonic::Status>);
    members
        .try_for_each_concurrent(64, |number| {
            member(number, workload, points.clone(), payment.clone())
        })
        .await
        .context("opening the accounts")
}

async fn member(
    number: u64,
    workload: Workload,
    points: Channel,
    payment: Channel,
) -> Result<(), tonic::Status> {
    let (request_id, user_id) = (format!("r-{number}"), user(number));
    let mut points = PointsServiceClient::new(points);
    let open = OpenAccountRequest { request_id: request_id.clone(), user_id: user_id.clone() };
    points.open_account(open).await?;
    let earn = EarnRequest {
        request_id: request_id.clone(),
        user_id: user_id.clone(),
        points: INITIAL_BALANCE,
    };
    points.earn(earn).await?;
    let mut payments = PaymentServiceClient::new(payment);
    let open = OpenWalletRequest {
        request_id: request_id.clone(),
        user_id: user_id.clone(),
        currency: CURRENCY.to_owned(),
    };
    payments.open_wallet(open).await?;
    if workload == Workload::PlaceOrder {
        let top_up = TopUpRequest { request_id, user_id, amount: euros(INITIAL_BALANCE) };
        payments.top_up(top_up).await?;
    }
    Ok(())
}

/// Places the order of each number; it must end as the workload wants it.
pub(crate) fn operation<T>(client: CheckoutServiceClient<T>, workload: Workload) -> Operation
where
    T: tonic::client::GrpcService<tonic::body::Body> + Clone + Send + Sync + 'static,
    T::Future: Send,
    T::Error: Into<tonic::codegen::StdError>,
    T::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <T::ResponseBody as tonic::codegen::Body>::Error: Into<tonic::codegen::StdError> + Send,
{
    let wanted = match workload {
        Workload::Decline => "INSUFFICIENT_FUNDS",
        _ => "OK",
    };
    Arc::new(move |number| {
        let mut client = client.clone();
        Box::pin(async move {
            let line = |offset| Line { sku: sku(number * 7 + offset), quantity: 1 };
            let request = PlaceOrderRequest {
                submit_token: format!("t-{number}"),
                user_id: user(number),
                lines: vec![line(0), line(1)],
                // The member gets points, so that the order can take them and give them back.
                points: 1,
            };
            let response = match client.place_order(request).await {
                Ok(response) => response.into_inner(),
                Err(status) if status.code() == Code::ResourceExhausted => {
                    return Ok(Completion::Refused);
                }
                Err(status) => bail!("an order failed: {status}"),
            };
            match response.result {
                Some(result) if result.code == wanted => Ok(Completion::Ended),
                result => bail!("an order ended otherwise: {result:?}"),
            }
        })
    })
}
