//! Calls that go out: one unary call by path, with trace, deadline, metadata and a log line.

mod call_log;
mod defect;
mod network;
mod not_sent;

use std::time::Duration;

use bytes::Bytes;
use clock::Clock;
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use metrics::Registry;
use prost_reflect::MethodDescriptor;
use tonic::{Code, Request, Status, client::Grpc, metadata::MetadataMap, service::Routes};

use self::call_log::CallLog;
pub use self::{
    defect::Defect,
    network::Network,
    not_sent::{CallError, NotSent, Obstacle},
};
use crate::{Trace, codec::Raw, deadline, dial::Peer, measures::OutgoingMeasures};

/// Where a service is reached: over the network, or within this process. Nothing above this seam knows which.
#[derive(Clone, Debug)]
pub enum Transport {
    /// HTTP/2 over connections that are made when they are first needed, and made again when they broke.
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
    /// How long the answer is waited for, from when the call is made.
    pub limit: Duration,
    /// What the method takes and gives, for the log.
    pub descriptor: &'a MethodDescriptor,
}

/// Makes outgoing calls.
#[derive(Clone, Debug)]
pub struct Client {
    clock: Clock,
    transport: Transport,
    measures: OutgoingMeasures,
}

/// A permit to make one call now.
#[derive(Debug)]
pub struct Stream(StreamTransport);

#[derive(Debug)]
enum StreamTransport {
    Network(network::Stream),
    InProcess(Routes),
}

impl Stream {
    /// Comes when the call that is made on it will hardly be answered, since its peer hangs, and other calls go elsewhere
    /// than there. The call itself still ends by its own limit.
    pub fn moved(&self) -> impl Future<Output = ()> + use<> {
        let moved = match &self.0 {
            StreamTransport::Network(stream) => Some(stream.moved()),
            StreamTransport::InProcess(_) => None,
        };
        async move {
            match moved {
                Some(moved) => moved.cancelled_owned().await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Client {
    /// Calls over `transport`, timed by `clock`. Nothing is measured.
    #[must_use]
    pub fn new(clock: Clock, transport: Transport) -> Self {
        Self { clock, transport, measures: OutgoingMeasures::new(&Registry::off()) }
    }

    /// The same, measured by this registry.
    #[must_use]
    pub fn measured_by(self, metrics: &Registry) -> Self {
        Self { measures: OutgoingMeasures::new(metrics), ..self }
    }

    /// Whether the service is within this process.
    #[must_use]
    pub fn is_within(&self) -> bool {
        matches!(self.transport, Transport::InProcess(_))
    }

    /// Gets leave to make `call`: at once within this process, and where the peer takes another call. Otherwise it waits
    /// for `max_wait` at most, behind all who wait already, and for a connection no longer than the call's own limit.
    /// Dropped before, it gives up its turn.
    ///
    /// # Errors
    /// There is no connection, or no stream within the time.
    pub async fn stream(&self, call: &Outgoing<'_>, max_wait: Duration) -> Result<Stream, NotSent> {
        let transport = match &self.transport {
            Transport::InProcess(routes) => StreamTransport::InProcess(routes.clone()),
            Transport::Network(network) => StreamTransport::Network(match network.free() {
                Some(stream) => stream,
                // Boxed, because most calls find a stream at once and need no memory for this future.
                None => Box::pin(self.wait(network, call, max_wait)).await?,
            }),
        };
        Ok(Stream(transport))
    }

    async fn wait(
        &self,
        network: &Network,
        call: &Outgoing<'_>,
        max_wait: Duration,
    ) -> Result<network::Stream, NotSent> {
        let line = CallLog::begin(&call.path, &call.headers, call.trace, self.clock.timer());
        let waited = network.wait(&self.clock, call.limit, max_wait).await;
        if let Err(not_sent) = &waited {
            let answer = Err(not_sent.clone().into());
            self.measures.record(&call.path, code(&answer), line.elapsed(), call.trace);
            line.end(call.descriptor, &answer);
        }
        waited
    }

    /// Makes the call and gives the encoded response. The call's limit runs from now.
    ///
    /// # Errors
    /// [`NotSent`] where that is certain; the callee's status; DEADLINE_EXCEEDED when the limit passes first; UNAVAILABLE
    /// where the connection breaks; one with a [`Defect`].
    pub async fn unary(&self, stream: Stream, call: Outgoing<'_>) -> Result<Bytes, CallError> {
        let Outgoing { path, request, mut headers, trace, limit, descriptor } = call;
        let line = CallLog::begin(&path, &headers, trace, self.clock.timer());
        line.request(descriptor, &request);
        trace.inject(&mut headers);
        deadline::write(limit, &mut headers);

        let answered = match stream.0 {
            StreamTransport::Network(mut stream) => {
                let called = stream.unary(path, headers, &request);
                let answered = self.clock.timeout(limit, called).await;
                if answered.is_err() {
                    stream.timed_out();
                }
                answered
            }
            // Boxed, because a call over the network needs a third of the memory that this future takes.
            StreamTransport::InProcess(routes) => {
                let called = Box::pin(within(routes, path, headers, request));
                self.clock.timeout(limit, called).await
            }
        };
        let answer = answered.unwrap_or_else(|_| {
            let late = format!("no answer within {} ms", limit.as_millis());
            Err(Status::deadline_exceeded(late).into())
        });
        self.measures.record(line.path(), code(&answer), line.elapsed(), trace);
        line.end(descriptor, &answer);
        answer
    }
}

/// What a call counts as. UNAVAILABLE where it was not sent.
fn code(answer: &Result<Bytes, CallError>) -> Code {
    match answer {
        Ok(_) => Code::Ok,
        Err(CallError::NotSent(_)) => Code::Unavailable,
        Err(CallError::Status(status)) => status.code(),
    }
}

/// A value that no other call has. It stays out of the table of headers that caller and callee keep (RFC 7541, 6.2.3),
/// where it would push out what all calls have in common: headers take a sixth fewer instructions to encode by that.
#[must_use]
pub fn never_indexed(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

async fn within(
    routes: Routes,
    path: PathAndQuery,
    headers: HeaderMap,
    message: Bytes,
) -> Result<Bytes, CallError> {
    let metadata = MetadataMap::from_headers(headers);
    let request = Request::from_parts(metadata, tonic::Extensions::new(), message);
    // It is in memory already; tonic would call it OUT_OF_RANGE, which is a decline.
    let mut grpc = Grpc::new(routes).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| NotSent::new(Obstacle::NoConnection, error.to_string()))?;
    let response = grpc.unary(request, path.clone(), Raw).await?.into_inner();
    match response.len() > Peer::MAX_RESPONSE.get() {
        true => Err(Defect::TooLarge
            .status(format!(
                "the response of {path} has {} bytes, and {} are taken",
                response.len(),
                Peer::MAX_RESPONSE
            ))
            .into()),
        false => Ok(response),
    }
}
