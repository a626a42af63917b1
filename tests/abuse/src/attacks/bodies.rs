//! Bodies that never come, that come packed, or that are nothing.

use std::{io, sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

use crate::{
    bomb,
    target::{Tally, Target},
    wire::{self, END_STREAM, Kind, RawConnection, Reading},
};

const PATHS: [&str; 2] =
    ["/sagamesh.checkout.v1.CheckoutService/PlaceOrder", "/sagamesh.saga.v1.SagaService/StartSaga"];
const STREAMS: u32 = 1_000;
const FOUR_MIB: u32 = 4 * 1024 * 1024;
/// Between two connections of one client.
const RECONNECT_DELAY: Duration = Duration::from_millis(20);

/// Announces large messages and sends a byte of each.
pub(crate) async fn announced(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    hold_calls(&target, target.count(2, 1), |stream| {
        let mut body = wire::announced(FOUR_MIB);
        body.push(0);
        wire::frame(Kind::Data, 0, stream, &body)
    })
    .await
}

/// Begins calls, and sends nothing of their bodies.
pub(crate) async fn half_open(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    hold_calls(&target, target.count(10, 2), |_| Vec::new()).await
}

/// Makes so many connections of 1,000 calls each, with this much of each body, and holds them.
async fn hold_calls(
    target: &Target,
    connections: usize,
    begin_body: impl Fn(u32) -> Vec<u8>,
) -> Result<()> {
    let (mut held, mut closed) = (Vec::new(), 0);
    for number in 0..connections {
        let mut wire = RawConnection::open(target.orchestrator(), &[], Reading::All).await?;
        for stream in (0..STREAMS).map(|number| 2 * number + 1) {
            let mut frames = wire::call(stream, PATHS[number % 2], &[], false);
            frames.extend(begin_body(stream));
            if wire.send(&frames).await.is_err() {
                closed += 1;
                break;
            }
        }
        held.push(wire);
    }
    target
        .note(format!("{connections} connections of {STREAMS} calls each, {closed} closed by it"));
    std::future::pending().await
}

/// Sends bodies that unpack to 150 times their size.
pub(crate) async fn gzip(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let bomb = bomb::message(60_000);
    let sent = Tally::default();
    let _note =
        target.note_at_end(|| format!("{} bodies of {} bytes sent", sent.sum(), bomb.len()));
    let clients = (0..8).map(|_| async {
        for _ in 0..target.count(200, 20) {
            let _ = send_one(&target, "gzip", &bomb).await;
            sent.add(1);
            target.clock.sleep(RECONNECT_DELAY).await;
        }
    });
    join_all(clients).await;
    Ok(())
}

async fn send_one(target: &Target, encoding: &str, body: &[u8]) -> io::Result<()> {
    let mut wire = RawConnection::open(target.orchestrator(), &[], Reading::All).await?;
    let encoding = [("grpc-encoding", encoding), ("content-encoding", encoding)];
    let mut frames = wire::call(1, PATHS[1], &encoding, false);
    let pieces = body.chunks(16_000).count();
    for (number, piece) in body.chunks(16_000).enumerate() {
        let end = if number + 1 == pieces { END_STREAM } else { 0 };
        frames.extend(wire::frame(Kind::Data, end, 1, piece));
    }
    wire.send(&frames).await?;
    target.clock.sleep(RECONNECT_DELAY).await;
    Ok(())
}

/// Sends what comes of random numbers, from a seed that is always the same.
pub(crate) async fn fuzzed(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let sent = Tally::default();
    let _note = target.note_at_end(|| format!("{} calls sent", sent.sum()));
    let clients = (0..4).map(|number| {
        let (target, sent) = (&target, &sent);
        async move {
            let mut rng = StdRng::seed_from_u64(number);
            for _ in 0..target.count(300, 50) {
                let _ = fuzz_one(target, &mut rng).await;
                sent.add(STREAMS_FUZZED.into());
                target.clock.sleep(RECONNECT_DELAY).await;
            }
        }
    });
    join_all(clients).await;
    Ok(())
}

const STREAMS_FUZZED: u32 = 20;

async fn fuzz_one(target: &Target, rng: &mut StdRng) -> io::Result<()> {
    let ports = target.services();
    let mut wire = RawConnection::open(ports[rng.random_range(0..5)], &[], Reading::All).await?;
    for stream in (0..STREAMS_FUZZED).map(|number| 2 * number + 1) {
        let path = match rng.random_range(0..4) {
            0 => PATHS[0].to_owned(),
            1 => PATHS[1].to_owned(),
            2 => format!("{}{}", PATHS[1], printable(rng, 10)),
            _ => format!("/{}", printable(rng, 60)),
        };
        let (name, value) = (printable(rng, 12).to_lowercase(), printable(rng, 40));
        let mut frames = wire::call(stream, &path, &[(&name, &value)], false);
        let mut body = vec![0; rng.random_range(0..200)];
        rng.fill_bytes(&mut body);
        if rng.random_bool(0.5) {
            body = wire::grpc(&body);
        }
        frames.extend(wire::frame(Kind::Data, END_STREAM, stream, &body));
        wire.send(&frames).await?;
    }
    target.clock.sleep(RECONNECT_DELAY).await;
    Ok(())
}

fn printable(rng: &mut StdRng, most: usize) -> String {
    let length = rng.random_range(1..=most);
    (0..length).map(|_| char::from(rng.random_range(b'!'..=b'~'))).collect()
}
