//! The way to one peer: HTTP/2 connections to the endpoints that its address leads to, made when they are needed, and made
//! again when they broke.
//!
//! It stands on `h2` itself: a call goes from its caller's task onto the connection, with no queue and no task of its own
//! between, and no stream where one message is sent and one received. A call begins when it has a stream: what the peer
//! does not allow at once waits here, in the order in which it came.

mod connect;
mod encoding;
mod open;
mod peer;
mod pool;
mod response;
mod status;
mod subchannel;
mod tasks;
mod watch;
mod written;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use h2::client::SendRequest;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_TYPE, TE},
    uri::{Authority, PathAndQuery, Scheme},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::{
    encoding::{ACCEPTED, GRPC_ACCEPT_ENCODING},
    open::Shared,
    pool::Pool,
    response::{Bound, no_head},
    watch::Silence,
};
use super::{
    CallError, NotSent, Obstacle,
    not_sent::{not_written, unprocessed},
};
use crate::dial::{self, Address, Resolver};

/// After how many time-outs in a row, with nothing received from the peer between, a connection is retired. A peer that hangs
/// behind a balancer acknowledges all that is sent to it; a new connection may reach one that is well.
const MAX_TIMEOUTS_IN_A_ROW: u32 = 3;

/// The way to one peer. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Network {
    peer: Arc<Peer>,
}

struct Peer {
    address: Address,
    pool: Mutex<Pool>,
    max_response: usize,
    /// What the peer is called by, wherever its address leads to.
    authority: Option<Authority>,
    resolver: Resolver,
    /// For what goes on beside the calls; these are timed by their callers' clock.
    clock: Clock,
}

/// One stream of a connection, for one call. Dropped, it goes to the call that has waited longest.
pub(super) struct Stream {
    peer: Arc<Peer>,
    connection: Arc<Shared>,
    requests: SendRequest<Bytes>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Network").field(&self.peer.address).finish()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Stream").field(&self.peer.address).finish()
    }
}

impl Network {
    /// The way to this peer. Nothing is connected before the first call.
    #[must_use]
    pub fn to(peer: &dial::Peer) -> Self {
        Self::with(peer, Resolver::system(), Clock::system())
    }

    /// The way to this peer, whose names `resolver` looks up, and whose connections are watched by `clock`.
    #[must_use]
    pub fn with(peer: &dial::Peer, resolver: Resolver, clock: Clock) -> Self {
        let pool = Pool::new(peer.address.endpoints(), peer.max_connections.get());
        Self {
            peer: Arc::new(Peer {
                address: peer.address.clone(),
                pool: Mutex::new(pool),
                max_response: peer.max_response.get(),
                authority: peer.authority.clone(),
                resolver,
                clock,
            }),
        }
    }

    /// A stream, where one is free now.
    pub(super) fn free(&self) -> Option<Stream> {
        self.peer.free()
    }

    /// Waits for a stream, behind all who wait already: for `connecting` until there is a connection, and for
    /// `max_wait` in all. Whoever goes away before gives up its turn.
    ///
    /// # Errors
    /// There is no connection, or no stream within the time.
    pub(super) async fn wait(
        &self,
        clock: &Clock,
        connecting: Duration,
        max_wait: Duration,
    ) -> Result<Stream, NotSent> {
        let connecting = connecting.min(max_wait);
        let mut turn = self.peer.queue();
        let mut turn_result = clock.timeout(connecting, &mut turn).await;
        if turn_result.is_err() {
            self.peer.is_connected(connecting)?;
            turn_result = clock.timeout(max_wait.saturating_sub(connecting), turn).await;
        }
        match turn_result {
            Ok(Ok(Ok(stream))) => Ok(stream),
            Ok(Ok(Err(status))) => Err(self.peer.no_connection(&status)),
            Ok(Err(_)) => Err(self.peer.no_connection(&connect::runtime_stopping())),
            Err(_) => Err(self.peer.no_stream_error(max_wait)),
        }
    }
}

impl Stream {
    /// Makes a call and gives the encoded response.
    ///
    /// # Errors
    /// [`NotSent`] where that is certain; the callee's status; UNAVAILABLE where the connection breaks; one with a
    /// [`Defect`](super::Defect).
    pub(super) async fn unary(
        &mut self,
        path: PathAndQuery,
        headers: HeaderMap,
        message: &Bytes,
    ) -> Result<Bytes, CallError> {
        let bound = Bound { path: path.clone(), bytes: self.peer.max_response };
        let request = request(self.connection.authority.clone(), path, headers)?;
        let message = response::with_prefix(message)?;
        let written_before = self.connection.written.bytes();
        let (response, mut stream) = self
            .requests
            .send_request(request, false)
            .map_err(|error| CallError::NotSent(not_written(&error)))?;
        let failed = |error| {
            let written = self.connection.written.bytes() != written_before;
            unprocessed(&error, written).map_or_else(|| no_head(error).into(), CallError::from)
        };
        stream.send_data(message, true).map_err(failed)?;
        let response = response.await;
        let heard = || self.connection.signs.heard();
        heard();
        let response = response.map_err(failed)?;
        Ok(response::read(response, &bound, heard).await?)
    }

    /// Cancelled when the call will not be answered, and others go elsewhere.
    pub(super) fn moved(&self) -> CancellationToken {
        self.connection.moved.clone()
    }

    /// The call was not answered in time.
    pub(super) fn timed_out(&self) {
        if self.connection.signs.timed_out() >= MAX_TIMEOUTS_IN_A_ROW {
            self.peer.give_up(self.connection.number, Silence::TimeOuts);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.peer.release(self.connection.number);
    }
}

impl Peer {
    fn no_connection(&self, why: &Status) -> NotSent {
        NotSent::new(Obstacle::NoConnection, format!("{}: {}", self.address, why.message()))
    }
}

fn request(
    authority: Authority,
    path: PathAndQuery,
    mut headers: HeaderMap,
) -> Result<Request<()>, Status> {
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(&GRPC_ACCEPT_ENCODING, ACCEPTED);
    let target = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path);
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = target.build().map_err(|error| Status::internal(error.to_string()))?;
    *request.headers_mut() = headers;
    Ok(request)
}
