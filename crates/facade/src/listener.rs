//! A listening socket: who may connect, for how long a connection may say nothing, and how the connections end.
//!
//! Every listener of a process is served here, so its limits are set here, all of them by name. TLS belongs between a
//! connection's acceptance and its first byte of HTTP.

mod responses;
mod slots;
mod socket;

use std::{
    convert::Infallible,
    iter,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use futures::FutureExt;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::{codegen::StdError, transport::server::Connected};
use tower::ServiceExt;

pub(crate) use self::slots::Share;
use self::{
    responses::{LeasedBody, StallLimited},
    slots::{Slot, Slots},
    socket::Socket,
};
use crate::{
    budget::Budget,
    config::Connections,
    log::Sample,
    measures::{ClosedBy, ConnectionMeasures, RefusedBy},
    wire::causes,
};

/// Calls at once on a connection, and resets by its client that are not read yet: beyond them it is closed.
const MAX_STREAMS: u32 = 1024;
const MAX_RESETS: usize = 1024;
/// How many bytes of a call's body, and of all calls of a connection, its peer may send before they are read; and how
/// large a frame may be. They are read as they come, so that this is what a connection holds at most beside its account. By
/// the connection's window the HTTP/2 library also limits how many small frames may come at once: with less, a thousand
/// calls that come together look like an attack to it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_FRAME: u32 = 16 * 1024;
/// How many bytes of a response are handed to the transport before its peer takes them.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a call's headers.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// After how much silence a client is pinged, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is waited after a connection could not be accepted: most often there are no file descriptors left, and
/// trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Lines a second about connections that are refused, and about those that cannot be accepted.
const LINES_PER_SECOND: u32 = 1;

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/2 alone, as gRPC is.
    Grpc,
    /// HTTP/1.1 and HTTP/2, known from each other by the first bytes.
    Any,
}

/// Takes the address.
///
/// # Errors
/// A sentence with the cure when the port is taken or the address is not this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "the port {} is taken: stop the process that listens there, or choose another port",
            address.port()
        ),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

/// Takes the address that this setting gives.
///
/// # Errors
/// As [`bind`], with the setting's name.
pub async fn bind_setting(setting: &str, address: SocketAddr) -> Result<TcpListener, String> {
    bind(address).await.map_err(|why| format!("{setting}: {why}"))
}

/// What a listener has of its process.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) clock: Clock,
    pub(crate) limits: Connections,
    /// How many connections there are files for.
    pub(crate) share: Share,
    /// What its connections take their bytes from.
    pub(crate) budget: Budget,
    /// What is measured of its connections.
    pub(crate) measures: ConnectionMeasures,
    /// Cancelled, the listener drains.
    pub(crate) stop: CancellationToken,
    /// Cancelled, it has drained for long enough.
    pub(crate) hurry: CancellationToken,
}

/// Serves until it is told to stop, then lets connections finish what they have, for `drain_timeout` at most.
///
/// # Errors
/// When the socket is no socket any more.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    protocol: Protocol,
    terms: Terms,
) -> Result<(), std::io::Error>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<StdError>> + Send + Unpin + 'static,
{
    let Terms { clock, limits, share, budget, measures, stop, hurry } = terms;
    let slots = Slots::new(&limits, share);
    let (http, draining) = (http(protocol, &limits), GracefulShutdown::new());
    let (refused, failed) = (Sample::of(LINES_PER_SECOND), Sample::of(LINES_PER_SECOND));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(times) = failed.count(clock.now()) {
                    tracing::warn!(times, error = %error, "no connection can be accepted; trying again");
                }
                clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let slot = match slot(&slots, peer.ip()).await {
            Ok(slot) => slot,
            Err(by) => {
                measures.refused(by);
                if let Some(connections) = refused.count(clock.now()) {
                    tracing::warn!(connections, %peer, "connections are refused: limits.connections");
                }
                continue;
            }
        };
        let Ok(io) = prepare(stream, slot, &clock, limits.handshake_timeout) else { continue };
        let (info, account) = (io.connect_info(), budget.account());
        let (of_requests, of_responses) = (Arc::clone(&account), Arc::clone(&account));
        let stamped = service.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(info.clone());
            request.extensions_mut().insert(Arc::clone(&of_requests));
            request
        });
        let leased = stamped.map_response(move |response: Response<B>| {
            response.map(|body| LeasedBody::new(body, Arc::clone(&of_responses)))
        });
        let service = TowerToHyperService::new(leased);
        let connection = http.serve_connection(TokioIo::new(io), service).into_owned();
        let connection = Box::pin(draining.watch(connection));
        let connection = StallLimited::new(connection, account, clock.clone());
        let open = measures.opened();
        connections.spawn(async move {
            let closed_by = match connection.await {
                Some(Ok(())) => ClosedBy::Ended,
                Some(Err(error)) => {
                    tracing::debug!(error = causes(error.as_ref()), "a connection broke");
                    match is_of_silence(error.as_ref()) {
                        true => ClosedBy::Silence,
                        false => ClosedBy::Error,
                    }
                }
                None => {
                    tracing::warn!(
                        %peer,
                        "a connection is closed that takes nothing: limits.responses.stall_timeout"
                    );
                    ClosedBy::Stall
                }
            };
            open.closed(closed_by);
        });
    }
    drop(listener);
    slots.send_all_away();
    let drained = clock.timeout(limits.drain_timeout, draining.shutdown());
    let _ = hurry.run_until_cancelled(drained).await;
    connections.shutdown().map(Ok).await
}

fn http(protocol: Protocol, limits: &Connections) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_send_buf_size(SEND_BUFFER)
        // Unset, these would switch the HTTP/2 library's own limits off.
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        // hyper panics where the machine's clock stands before 1970.
        .auto_date_header(false);
    http.http1()
        .auto_date_header(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.handshake_timeout);
    match protocol {
        Protocol::Grpc => http.http2_only(),
        Protocol::Any => http,
    }
}

/// A slot for a connection from this address, where need be that of one that has said nothing yet.
async fn slot(slots: &Slots, address: IpAddr) -> Result<(Slot, CancellationToken), RefusedBy> {
    let refused = match slots.take(address) {
        Ok(slot) => return Ok(slot),
        Err(by) => by,
    };
    if !slots.send_away(address) {
        return Err(refused);
    }
    // What was sent away leaves when its task runs.
    tokio::task::yield_now().await;
    slots.take(address)
}

fn prepare(
    stream: TcpStream,
    slot: (Slot, CancellationToken),
    clock: &Clock,
    handshake_timeout: Duration,
) -> Result<Socket<TcpStream>, std::io::Error> {
    // Nagle's algorithm with delayed acknowledgements costs 40 ms a call, so it is off on every socket.
    stream.set_nodelay(true)?;
    Ok(Socket::new(stream, slot, clock.clone(), handshake_timeout))
}

/// Whether a connection ended because it had not said in time what it speaks.
fn is_of_silence(error: &(dyn std::error::Error + 'static)) -> bool {
    iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

/// Whether it is the connection that failed, and not the listener.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
