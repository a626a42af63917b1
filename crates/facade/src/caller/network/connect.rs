//! One HTTP/2 connection: how it is made, and what keeps it going.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use clock::Clock;
use h2::{
    PingPong,
    client::{self, SendRequest},
};
use tonic::Status;

use super::{
    response::broken,
    written::{Counted, Written},
};
use crate::dial::{Endpoint, Socket};

/// How long the peer's first SETTINGS are waited for. The kernel takes a connection also for a process that hangs; SETTINGS
/// come from the process itself.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(5);
/// How many bytes the peer may send before they are read, on one stream and on all.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
/// How many bytes of headers are taken with an answer. Of trailers what is beyond it is dropped, and a head that is longer is
/// refused. `h2` can leave it at that one stream up to here, and some way beyond it closes the connection: so it is as much
/// as gRPC's own clients take at most, though next to nothing of it is kept.
pub(super) const MAX_HEADER_BYTES: u32 = 16 << 20;
/// How many streams of a connection may end for what the peer sent on them: malformed answers, and what comes for calls that
/// were given up. `h2` closes the connection beyond it, and ends the other calls with it; its own limit, 1,024 in all the
/// time that a connection is open, is there for servers.
const MAX_STREAM_ERRORS: usize = 1_000_000;
/// The peer's limit before its SETTINGS: no value that SETTINGS can have, and not that of a peer without a limit.
const LIMIT_UNKNOWN: usize = usize::MAX - 1;

/// A connection that does its work while it is polled.
pub(super) struct Connection {
    http: client::Connection<Counted<Socket>, Bytes>,
    /// How many streams the peer takes at once.
    limit: usize,
}

/// What calls need of a connection.
pub(super) struct Made {
    pub(super) requests: SendRequest<Bytes>,
    /// How many streams the peer takes at once.
    pub(super) limit: usize,
    /// How much was written to it.
    pub(super) written: Written,
    /// `None` where `h2` has none to give.
    pub(super) pings: Option<PingPong>,
}

/// Makes a connection. It is made when the peer has told how many streams it takes.
///
/// # Errors
/// UNAVAILABLE, with the reason.
pub(super) async fn make(endpoint: &Endpoint) -> Result<(Made, Connection), Status> {
    let socket =
        endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let socket = Counted::new(socket);
    let written = socket.written();
    let (requests, mut http) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_local_error_reset_streams(Some(MAX_STREAM_ERRORS))
        .initial_max_send_streams(LIMIT_UNKNOWN)
        .enable_push(false)
        .handshake(socket)
        .await
        .map_err(broken)?;
    let pings = http.ping_pong();
    let mut connection = Connection { http, limit: LIMIT_UNKNOWN };
    match Clock::system().timeout(SETTINGS_TIMEOUT, connection.work()).await {
        Ok(Ok(Some(limit))) => Ok((Made { requests, limit, written, pings }, connection)),
        Ok(Ok(None)) => Err(Status::unavailable("the connection closed before SETTINGS came")),
        Ok(Err(error)) => Err(broken(error)),
        Err(_) => Err(Status::unavailable(format!("no SETTINGS came within {SETTINGS_TIMEOUT:?}"))),
    }
}

impl Connection {
    /// Works until the peer sets another limit, and gives that; `None` when the connection has closed.
    pub(super) async fn work(&mut self) -> Result<Option<usize>, h2::Error> {
        poll_fn(|context| {
            if let Poll::Ready(closed) = Pin::new(&mut self.http).poll(context) {
                return Poll::Ready(closed.map(|()| None));
            }
            let limit = self.http.max_concurrent_send_streams();
            if limit == self.limit {
                return Poll::Pending;
            }
            self.limit = limit;
            Poll::Ready(Ok(Some(limit)))
        })
        .await
    }
}

/// What a caller is told whose connection will not be made any more.
pub(super) fn runtime_stopping() -> Status {
    Status::unavailable("the process is stopping")
}
