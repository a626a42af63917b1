//! Large answers for somebody who does not take them.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    order::v1::ListOrdersRequest,
};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{
    orders::USER,
    target::Target,
    wire::{self, INITIAL_WINDOW_SIZE, RawConnection, Reading},
};

const PATH: &str = "/sagamesh.order.v1.OrderService/ListOrders";
const LINES: usize = 100;
const CONCURRENCY: usize = 16;

/// Two connections whose streams have a window of 0.
pub(crate) async fn closed_window(target: Arc<Target>) -> Result<()> {
    place_large_orders(&target).await?;
    target.start_measuring();
    let pages = target.count(100, 50) as u32;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire =
            RawConnection::open(target.orders(), &[(INITIAL_WINDOW_SIZE, 0)], Reading::All).await?;
        for stream in (0..pages).map(|number| 2 * number + 1) {
            wire.send(&wire::whole_call(stream, PATH, &page())).await?;
        }
        held.push(wire);
    }
    target.note(format!("2 connections asked for {pages} pages each"));
    std::future::pending().await
}

/// Connections that take a byte every 100 ms.
pub(crate) async fn slow_readers(target: Arc<Target>) -> Result<()> {
    place_large_orders(&target).await?;
    target.start_measuring();
    let readers = target.count(200, 50);
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        reading.spawn(read_slowly(Arc::clone(&target)));
    }
    target.note(format!("{readers} connections asked for a page each"));
    while reading.join_next().await.is_some() {}
    std::future::pending().await
}

async fn read_slowly(target: Arc<Target>) -> Result<()> {
    const INTERVAL: Duration = Duration::from_millis(100);
    const LARGE_WINDOW: u32 = 0x7fff_ffff;
    let mut stream = TcpStream::connect(("127.0.0.1", target.orders())).await?;
    let mut hello = wire::PREFACE.to_vec();
    hello.extend(wire::settings(&[(INITIAL_WINDOW_SIZE, LARGE_WINDOW)]));
    let more = (LARGE_WINDOW - 65_535).to_be_bytes();
    hello.extend(wire::frame(wire::Kind::WindowUpdate, 0, 0, &more));
    hello.extend(wire::whole_call(1, PATH, &page()));
    stream.write_all(&hello).await?;
    while stream.read_u8().await.is_ok() {
        target.clock.sleep(INTERVAL).await;
    }
    Ok(())
}

fn page() -> ListOrdersRequest {
    ListOrdersRequest { page_size: 1_000, ..ListOrdersRequest::default() }
}

/// Orders of 100 lines, as many as a page has.
async fn place_large_orders(target: &Target) -> Result<()> {
    let goods = futures::stream::iter(0..LINES).map(Ok);
    let add = async |number| {
        target
            .clients
            .add_goods(&format!("goods-{number:03}-{}", "x".repeat(40)), 1, 1_000_000)
            .await
    };
    goods.try_for_each_concurrent(CONCURRENCY, add).await.context("filling the catalogue")?;
    let orders = futures::stream::iter(0..target.count(1_000, 100)).map(Ok);
    orders
        .try_for_each_concurrent(CONCURRENCY, async |number| place_large(target, number).await)
        .await
}

async fn place_large(target: &Target, number: usize) -> Result<()> {
    let line = |number| Line { sku: format!("goods-{number:03}-{}", "x".repeat(40)), quantity: 1 };
    let order = PlaceOrderRequest {
        submit_token: format!("large-{number}"),
        user_id: USER.to_owned(),
        lines: (0..LINES).map(line).collect(),
        points: 0,
    };
    let placed = target.clients.checkout.clone().place_order(order).await?.into_inner();
    ensure!(placed.result.as_ref().is_some_and(|result| result.success), "{placed:?}");
    Ok(())
}
