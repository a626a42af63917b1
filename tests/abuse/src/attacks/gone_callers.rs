//! More orders than can be placed, from callers most of whom go away.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use proto::checkout::v1::{Line, PlaceOrderRequest};

use crate::{
    orders::{SKU, USER},
    target::{Tally, Target},
    wire::{self, Kind, RawConnection, Reading},
};

const PATH: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";
const CONNECTIONS: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(30);
const CANCEL: [u8; 4] = [0, 0, 0, 8];

pub(crate) async fn run(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    // Five every 30 ms on each of 20 connections: 3,333 a second.
    let rounds = target.count(20_000, 4_000) as u32 / CONNECTIONS / 5;
    let (sent, closed) = (Tally::default(), Tally::default());
    let _note = target.note_at_end(|| {
        format!("{} orders sent, {} connections closed by it", sent.sum(), closed.sum())
    });
    let clients = (0..CONNECTIONS).map(async |number| {
        if order(&target, number, rounds, &sent).await.is_err() {
            closed.add(1);
        }
    });
    join_all(clients).await;
    Ok(())
}

/// Sends its orders and takes three of four back when the next ones are due.
async fn order(target: &Target, client: u32, rounds: u32, sent: &Tally) -> std::io::Result<()> {
    let mut wire = RawConnection::open(target.orchestrator(), &[], Reading::All).await?;
    let started = target.clock.now();
    let mut gone: Vec<u8> = Vec::new();
    for round in 0..rounds {
        target.clock.sleep_until(started.after(INTERVAL * round)).await;
        let mut frames = std::mem::take(&mut gone);
        for number in round * 5..round * 5 + 5 {
            let stream = 2 * number + 1;
            frames.extend(wire::whole_call(stream, PATH, &request(client, number)));
            if number % 4 != 0 {
                gone.extend(wire::frame(Kind::Reset, 0, stream, &CANCEL));
            }
        }
        wire.send(&frames).await?;
        sent.add(5);
    }
    wire.send(&gone).await?;
    // The callers that are left wait for their answers.
    std::future::pending().await
}

fn request(client: u32, number: u32) -> PlaceOrderRequest {
    PlaceOrderRequest {
        submit_token: format!("gone-{client}-{number}"),
        user_id: USER.to_owned(),
        lines: vec![Line { sku: SKU.to_owned(), quantity: 1 }],
        points: 0,
    }
}
