//! One HTTP/2 connection: how it is made, and what keeps it going.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use bytes::Bytes;
use clock::Clock;
use h2::client::{self, SendRequest};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tonic::Status;

use super::{
    response::broken,
    written::{Counted, Written},
};
use crate::dial::{Address, CONNECT_TIMEOUT};

/// How long the peer's first SETTINGS are waited for. The kernel takes a connection also for a process that hangs; SETTINGS
/// come from the process itself.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(5);
/// TCP keep-alive: how long a connection is idle before the peer is probed, how often it is probed then, and how long it may
/// leave data unacknowledged.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bytes the peer may send before they are read, on one stream and on all.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
/// How many bytes of headers are taken with an answer. Trailers are cut off there, and a head that is longer is refused.
pub(super) const MAX_HEADER_BYTES: u32 = 64 << 10;
/// The peer's limit before its SETTINGS: no value that SETTINGS can have, and not that of a peer without a limit.
const LIMIT_UNKNOWN: usize = usize::MAX - 1;

/// A connection that does its work while it is polled.
pub(super) struct Connection {
    http: client::Connection<Counted<TcpStream>, Bytes>,
    /// How many streams the peer takes at once.
    pub(super) limit: usize,
    /// How much was written to it.
    pub(super) written: Written,
}

impl Connection {
    /// Makes a connection. It is made when the peer has told how many streams it takes.
    ///
    /// # Errors
    /// UNAVAILABLE, with the reason.
    pub(super) async fn make(address: &Address) -> Result<(SendRequest<Bytes>, Self), Status> {
        let connected = async {
            let stream = TcpStream::connect(address.host_and_port()).await?;
            stream.set_nodelay(true)?;
            set_keepalive(&stream)?;
            Ok::<_, std::io::Error>(stream)
        };
        let clock = Clock::system();
        let stream = clock
            .timeout(CONNECT_TIMEOUT, connected)
            .await
            .map_err(|_| Status::unavailable(format!("no connection within {CONNECT_TIMEOUT:?}")))?
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let stream = Counted::new(stream);
        let written = stream.written();
        let (requests, http) = client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_max_send_streams(LIMIT_UNKNOWN)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(broken)?;
        let mut connection = Self { http, limit: LIMIT_UNKNOWN, written };
        match clock.timeout(SETTINGS_TIMEOUT, connection.work()).await {
            Ok(Ok(Some(_))) => Ok((requests, connection)),
            Ok(Ok(None)) => Err(Status::unavailable("the connection closed before SETTINGS came")),
            Ok(Err(error)) => Err(broken(error)),
            Err(_) => {
                Err(Status::unavailable(format!("no SETTINGS came within {SETTINGS_TIMEOUT:?}")))
            }
        }
    }

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

/// Lets the kernel break a connection whose peer has vanished without a word. HTTP/2 has pings for it, but gRPC's own
/// servers take more than two in five minutes for an attack (`too_many_pings`), close the connection, and end the calls
/// that take longer with it.
fn set_keepalive(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))?;
    Ok(())
}
