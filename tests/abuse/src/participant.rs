//! A participant that answers as none should, and the saga that calls it.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::{SendStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::wire;

/// The saga's name.
pub(crate) const SAGA: &str = "abuse";
/// The service that the participant has.
pub(crate) const SERVICE: &str = "abuse.v1.AbuseService";
pub(crate) const CONTRACT: &str = "\
syntax = \"proto3\";
package abuse.v1;
service AbuseService {
  rpc Step(StepRequest) returns (StepResponse);
  rpc Undo(UndoRequest) returns (UndoResponse);
}
message StepRequest { repeated int64 numbers = 1; int64 sum = 2; string text = 3; }
message StepResponse { bytes payload = 1; }
message UndoRequest {}
message UndoResponse {}
";

/// How it answers each call.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Nobody listens.
    Dead,
    /// A status without an answer, with these trailers.
    Status(u8, Vec<(&'static str, String)>),
    /// An answer whose message, all of it one field, announces so many bytes and has so many.
    Answer { announced: u32, bytes: u64 },
}

/// A participant that runs until it is dropped.
pub(crate) struct Participant {
    pub(crate) port: u16,
    _serving: Option<AbortOnDropHandle<()>>,
}

impl Participant {
    pub(crate) async fn start(behaviour: Behaviour) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let serving = match behaviour {
            Behaviour::Dead => None,
            behaviour => Some(tokio::spawn(serve(listener, Arc::new(behaviour)))),
        };
        Ok(Self { port, _serving: serving.map(AbortOnDropHandle::new) })
    }
}

async fn serve(listener: TcpListener, behaviour: Arc<Behaviour>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&behaviour)));
    }
}

async fn converse(stream: TcpStream, behaviour: Arc<Behaviour>) {
    let Ok(mut connection) = h2::server::Builder::new()
        .max_concurrent_streams(1_000)
        .handshake::<_, Bytes>(stream)
        .await
    else {
        return;
    };
    let mut calls = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let behaviour = Arc::clone(&behaviour);
        calls.spawn(async move {
            // A caller that goes away is what is hoped for.
            let _ = answer(&behaviour, respond).await;
            drop(request);
        });
    }
}

async fn answer(behaviour: &Behaviour, mut respond: SendResponse<Bytes>) -> Result<()> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::OK;
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    match behaviour {
        Behaviour::Dead => {}
        Behaviour::Status(status, more) => {
            head.headers_mut().insert("grpc-status", HeaderValue::from(u16::from(*status)));
            for (name, value) in more {
                head.headers_mut().insert(*name, HeaderValue::try_from(value.as_str())?);
            }
            respond.send_response(head, true)?;
        }
        Behaviour::Answer { announced, bytes } => {
            let mut body = respond.send_response(head, false)?;
            let mut head = wire::announced(*announced);
            head.extend(field_head(*announced));
            send(&mut body, Bytes::from(head)).await?;
            send_zeros(&mut body, bytes.saturating_sub(FIELD_HEAD)).await?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            body.send_trailers(trailers)?;
        }
    }
    Ok(())
}

/// The bytes of [`field_head`].
const FIELD_HEAD: u64 = 6;

/// How the field `payload` begins where it fills a message of so many bytes.
fn field_head(message: u32) -> [u8; FIELD_HEAD as usize] {
    let length = u64::from(message).saturating_sub(FIELD_HEAD);
    let mut head = [0x0a; FIELD_HEAD as usize];
    for (number, byte) in head[1..].iter_mut().enumerate() {
        let more = if number < 4 { 0x80 } else { 0 };
        *byte = (length >> (7 * number)) as u8 & 0x7f | more;
    }
    head
}

async fn send_zeros(body: &mut SendStream<Bytes>, bytes: u64) -> Result<()> {
    let piece = wire::zeros(64 * 1024);
    let mut left = bytes;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        send(body, piece.slice(..size)).await?;
        left -= size as u64;
    }
    Ok(())
}

/// Sends when the caller has room for it.
async fn send(body: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<()> {
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let room = futures::future::poll_fn(|context| body.poll_capacity(context)).await;
        let room = room.context("the caller is gone")??;
        body.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_fills_the_message_that_it_begins() {
        let mut message = &field_head(1_000)[..];
        let (number, _) = prost::encoding::decode_key(&mut message).unwrap();
        let length = prost::encoding::decode_varint(&mut message).unwrap();
        assert_eq!((number, length, message.len()), (1, 1_000 - FIELD_HEAD, 0));
    }
}
