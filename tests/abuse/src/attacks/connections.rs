//! Connections that say nothing, or not enough.

use std::sync::Arc;

use anyhow::Result;
use futures::StreamExt;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{target::Target, wire};

/// More than a process with 1,024 files can hold.
const CONNECTIONS: usize = 1_100;
const CONCURRENCY: usize = 64;

/// Only connects.
pub(crate) async fn silent(target: Arc<Target>) -> Result<()> {
    let port = target.orchestrator();
    hold(&target, |_| (port, Vec::new())).await
}

/// Says the beginning of HTTP/2, of TLS, and of HTTP/1.1.
pub(crate) async fn half_handshakes(target: Arc<Target>) -> Result<()> {
    let (services, health) = (target.services(), target.health());
    let preface = wire::PREFACE;
    let half_a_frame = [preface, &wire::settings(&[])[..5]].concat();
    let words: [Vec<u8>; 5] = [
        preface[..10].to_vec(),
        preface.to_vec(),
        half_a_frame,
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        b"GET /readyz HTTP/1.1\r\nhost: x\r\nx-slow: ".to_vec(),
    ];
    hold(&target, |number| {
        let word = words[number % words.len()].clone();
        let port = if number % 10 == 9 { health } else { services[number % 5] };
        (port, word)
    })
    .await
}

/// Makes the connections, says to each what it says, and holds them.
async fn hold(target: &Target, first: impl Fn(usize) -> (u16, Vec<u8>)) -> Result<()> {
    let connecting = futures::stream::iter(0..CONNECTIONS).map(async |number| {
        let (port, words) = first(number);
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&words).await?;
        Ok::<_, std::io::Error>(stream)
    });
    let all: Vec<_> = connecting.buffer_unordered(CONCURRENCY).collect().await;
    let (held, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
    let why = refused.first().and_then(|refused| refused.as_ref().err());
    target.note(format!("{} connections made, {} not: {why:?}", held.len(), refused.len()));
    target.start_measuring();
    std::future::pending().await
}
