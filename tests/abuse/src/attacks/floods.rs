//! Frames without end, each cheap to send.

use std::{io, sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::join_all;
use proto::saga::v1::ListDefinitionsRequest;

use crate::{
    target::{Tally, Target},
    wire::{self, END_HEADERS, Kind, RawConnection, Reading},
};

const PATH: &str = "/sagamesh.saga.v1.SagaService/ListDefinitions";
const CONNECTIONS: usize = 8;
/// Frames that are sent as one piece, and pieces of a connection, so that there is an end.
const FRAMES: u32 = 64;
const PIECES: u32 = 20_000;
/// After a connection was closed by the mesh, before the next.
const RECONNECT_DELAY: Duration = Duration::from_millis(10);
const CANCEL: [u8; 4] = [0, 0, 0, 8];

pub(crate) async fn ping(target: Arc<Target>) -> Result<()> {
    let piece = wire::frame(Kind::Ping, 0, 0, &[7; 8]).repeat(FRAMES as usize);
    flood(&target, Reading::All, Vec::new(), move |_| piece.clone()).await
}

pub(crate) async fn unread_ping(target: Arc<Target>) -> Result<()> {
    let piece = wire::frame(Kind::Ping, 0, 0, &[7; 8]).repeat(FRAMES as usize);
    flood(&target, Reading::Nothing, Vec::new(), move |_| piece.clone()).await
}

pub(crate) async fn settings(target: Arc<Target>) -> Result<()> {
    let piece = wire::settings(&[(wire::INITIAL_WINDOW_SIZE, 1_000)]).repeat(FRAMES as usize);
    flood(&target, Reading::All, Vec::new(), move |_| piece.clone()).await
}

pub(crate) async fn continuation(target: Arc<Target>) -> Result<()> {
    let first = wire::frame(Kind::Headers, 0, 1, &wire::header_block(PATH, &[]));
    let more = wire::header("x-more", "and more");
    let piece = wire::frame(Kind::Continuation, 0, 1, &more).repeat(FRAMES as usize);
    flood(&target, Reading::All, first, move |_| piece.clone()).await
}

pub(crate) async fn rapid_reset(target: Arc<Target>) -> Result<()> {
    flood(&target, Reading::All, Vec::new(), |number| {
        calls(number, |stream| {
            let mut frames = wire::whole_call(stream, PATH, &ListDefinitionsRequest::default());
            frames.extend(wire::frame(Kind::Reset, 0, stream, &CANCEL));
            frames
        })
    })
    .await
}

/// Calls without a message: each is refused, and would be logged.
pub(crate) async fn refused_calls(target: Arc<Target>) -> Result<()> {
    flood(&target, Reading::All, Vec::new(), |number| {
        calls(number, |stream| wire::call(stream, PATH, &[], true))
    })
    .await
}

/// The frames of the calls of one piece.
fn calls(number: u32, call: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let streams = number * FRAMES..(number + 1) * FRAMES;
    streams.flat_map(|number| call(2 * number + 1)).collect()
}

pub(crate) async fn window_updates(target: Arc<Target>) -> Result<()> {
    let update = |bytes: u32| wire::frame(Kind::WindowUpdate, 0, 0, &bytes.to_be_bytes());
    let (tiny, nothing, too_much) = (update(1), update(0), update(0x7fff_ffff));
    flood(&target, Reading::All, Vec::new(), move |number| match number % 100 {
        98 => nothing.clone(),
        99 => too_much.repeat(2),
        _ => tiny.repeat(FRAMES as usize),
    })
    .await
}

pub(crate) async fn empty_data(target: Arc<Target>) -> Result<()> {
    let block = wire::header_block(PATH, &[]);
    let first = wire::frame(Kind::Headers, END_HEADERS, 1, &block);
    let piece = wire::frame(Kind::Data, 0, 1, &[]).repeat(FRAMES as usize);
    flood(&target, Reading::All, first, move |_| piece.clone()).await
}

/// Sends `first` and then piece after piece on eight connections, each made again when the mesh closes it.
async fn flood(
    target: &Target,
    reading: Reading,
    first: Vec<u8>,
    piece: impl Fn(u32) -> Vec<u8>,
) -> Result<()> {
    target.start_measuring();
    let (sent, closed) = (Tally::default(), Tally::default());
    let _note = target
        .note_at_end(|| format!("{} frames sent, {} connections closed", sent.sum(), closed.sum()));
    let one = async || {
        for _ in 0..target.count(200, 50) {
            // To be closed is how this should end.
            let _: io::Result<()> = async {
                let mut wire = RawConnection::open(target.orchestrator(), &[], reading).await?;
                wire.send(&first).await?;
                for number in 0..PIECES {
                    wire.send(&piece(number)).await?;
                    sent.add(FRAMES.into());
                }
                Ok(())
            }
            .await;
            closed.add(1);
            target.clock.sleep(RECONNECT_DELAY).await;
        }
    };
    join_all((0..CONNECTIONS).map(|_| one())).await;
    Ok(())
}
