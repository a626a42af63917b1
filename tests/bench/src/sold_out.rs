//! The workload `sold-out`: calls of Freeze at the stock service as sagas make them, nine of ten for goods that are gone.
//!
//! The order service declines an order whose quote shows too little stock, so only those come here that were quoted while
//! there was some: the first moments after the last unit. They are called without their sagas, which would cost far more
//! than what is measured.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use proto::stock::v1::{
    FreezeRequest, Line, UpsertProductRequest, stock_service_client::StockServiceClient,
};
use tonic::{Request, transport::Channel};

use crate::{
    load::{Completion, Operation},
    shop::{euros, sku},
};

/// The SKU of a product that has no unit left.
const SOLD_OUT_SKU: &str = "sold-out";
/// One call in so many is for goods that are available.
const AVAILABLE_ONE_IN: u64 = 10;

/// How many of the first `calls` calls find their goods.
pub(crate) fn found(calls: u64) -> u64 {
    calls.div_ceil(AVAILABLE_ONE_IN)
}

/// Puts the product that is gone into the catalogue.
pub(crate) async fn seed(stock: Channel) -> Result<()> {
    let product = UpsertProductRequest {
        request_id: SOLD_OUT_SKU.to_owned(),
        sku: SOLD_OUT_SKU.to_owned(),
        title: "Gone".to_owned(),
        price: euros(100),
        on_sale: true,
    };
    let mut stock = StockServiceClient::new(stock);
    stock.upsert_product(product).await.context("adding the product that is gone")?;
    Ok(())
}

/// Freezes two units for the order of each number, or is declined.
pub(crate) fn operation(client: StockServiceClient<Channel>) -> Operation {
    Arc::new(move |number| {
        let mut client = client.clone();
        Box::pin(async move {
            let (second, wanted) = match number % AVAILABLE_ONE_IN {
                0 => (sku(number * 7 + 1), "OK"),
                _ => (SOLD_OUT_SKU.to_owned(), "INSUFFICIENT_STOCK"),
            };
            let skus = [sku(number * 7), second];
            let response = client.freeze(freeze(number, skus)?).await?.into_inner();
            match response.result {
                Some(result) if result.code == wanted => Ok(Completion::Ended),
                result => bail!("a freeze ended otherwise: {result:?}"),
            }
        })
    })
}

fn freeze(number: u64, skus: [String; 2]) -> Result<Request<FreezeRequest>> {
    let lines = skus.map(|sku| Line { sku, quantity: 1 }).into();
    let mut request = Request::new(FreezeRequest { order_no: format!("O-{number}"), lines });
    let saga_id = format!("rush-{number}");
    let metadata = request.metadata_mut();
    metadata.insert("saga-id", saga_id.parse()?);
    metadata.insert("saga-step", "freeze_stock".parse()?);
    metadata.insert("saga-direction", "forward".parse()?);
    Ok(request)
}
