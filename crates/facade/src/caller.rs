//! Calls that go out: one unary call by path, with trace, deadline, metadata and a log line.

mod line;
mod network;

use std::time::Duration;

use bytes::Bytes;
use clock::Clock;
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use prost_reflect::MethodDescriptor;
use tonic::{Request, Status, client::Grpc, metadata::MetadataMap, service::Routes};

use self::line::Line;
pub use self::network::Network;
use crate::{Trace, codec::Raw, deadline};

/// Where a service is reached: over the network, or within this process. Nothing above this seam knows which.
#[derive(Clone, Debug)]
pub enum Transport {
    /// HTTP/2 over a connection that is made when it is first needed, and made again when it broke.
    Network(Network),
    /// Straight onto the server's routes: the same layers, no HTTP/2.
    InProcess(Routes),
}

/// One outgoing call.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// `/package.Service/Method`.
    pub path: PathAndQuery,
    /// The encoded request.
    pub request: Bytes,
    /// What goes with it, beside trace and deadline.
    pub headers: HeaderMap,
    /// The trace that the call belongs to.
    pub trace: &'a Trace,
    /// How long the answer is waited for.
    pub limit: Duration,
    /// What the method takes and gives, for the log.
    pub descriptor: &'a MethodDescriptor,
}

/// Makes outgoing calls.
#[derive(Clone, Debug)]
pub struct Client {
    clock: Clock,
    transport: Transport,
}

impl Client {
    /// Calls over `transport`, timed by `clock`.
    #[must_use]
    pub fn new(clock: Clock, transport: Transport) -> Self {
        Self { clock, transport }
    }

    /// Makes the call and gives the encoded response.
    ///
    /// # Errors
    /// The callee's status; DEADLINE_EXCEEDED when `limit` passes first; UNAVAILABLE where it cannot be reached.
    pub async fn unary(&self, call: Outgoing<'_>) -> Result<Bytes, Status> {
        let Outgoing { path, request, mut headers, trace, limit, descriptor } = call;
        let line = Line::begin(&path, &headers, self.clock.now());
        line.request(descriptor, &request);
        trace.inject(&mut headers);
        deadline::write(limit, &mut headers);

        let called = async {
            match &self.transport {
                Transport::Network(network) => network.unary(path, headers, &request).await,
                // Boxed: the way over the network needs a third of its room.
                Transport::InProcess(routes) => {
                    Box::pin(within(routes.clone(), path, headers, request)).await
                }
            }
        };
        let answer = self.clock.timeout(limit, called).await.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("no answer within {} ms", limit.as_millis())))
        });
        line.end(&self.clock, descriptor, &answer);
        answer
    }
}

/// A value that no other call has. It stays out of the table of headers that caller and callee keep (RFC 7541, 6.2.3),
/// where it would push out what all calls have in common: headers take a sixth fewer instructions to encode by that.
#[must_use]
pub fn of_one_call(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

async fn within(
    routes: Routes,
    path: PathAndQuery,
    headers: HeaderMap,
    message: Bytes,
) -> Result<Bytes, Status> {
    let metadata = MetadataMap::from_headers(headers);
    let request = Request::from_parts(metadata, tonic::Extensions::new(), message);
    // No limit of our own: an answer that is refused here has taken effect there.
    let mut grpc = Grpc::new(routes).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.unary(request, path, Raw).await.map(tonic::Response::into_inner)
}
