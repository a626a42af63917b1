//! Calls that no handler answers: a method that is not served, a body that is no message, a message that is too large,
//! a body that does not come in time. They get the treatment of every other failure: a registered reason, a
//! `ResultInfo`, a log line, and an envelope where the caller asks for one.
//!
//! tonic refuses such calls by itself, with a status that has no details; the facade never gives a status without.
//! That tells the two apart, so a call that a handler answered passes as it is.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Uri, header::CONTENT_TYPE};
use prost::Message;
use prost_reflect::DynamicMessage;
use proto::facade::v1::Reason;
use tonic::{
    Code, Extensions, Status,
    codec::{EncodeBody, SingleMessageCompressionOverride},
    metadata::{GRPC_CONTENT_TYPE, MetadataMap},
    service::AxumBody,
    transport::server::TcpConnectInfo,
};

use crate::{
    Facade, Failure, call,
    codec::Raw,
    deadline,
    dynamic::Methods,
    method,
    pipeline::{Asked, Shape},
    reply::Payload,
    result::fill_result,
    status::GRPC_STATUS,
};

const GRPC_STATUS_DETAILS: &str = "grpc-status-details-bin";
/// Says which compressions the server takes. Only there where the caller used another.
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// Of a path that nobody serves, what the caller is told: it may be as long as a header.
const PATH_TOLD: usize = 200;

/// Puts [`Answering`] around every route.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) facade: Facade,
    pub(crate) methods: Methods,
}

impl<S> tower::Layer<S> for Layer {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { inner, layer: self.clone() }
    }
}

/// Gives a failure that the facade has not seen the form of one that it has.
#[derive(Clone)]
pub(crate) struct Answering<S> {
    inner: S,
    layer: Layer,
}

type Response = http::Response<AxumBody>;

impl<S> tower::Service<http::Request<AxumBody>> for Answering<S>
where
    S: tower::Service<http::Request<AxumBody>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<AxumBody>) -> Self::Future {
        let mut kept = Kept::of(&request);
        let limit = kept.time_for(request.headers());
        let layer = self.layer.clone();
        let answered = self.inner.call(request);
        Box::pin(async move {
            let response = match limit {
                None => answered.await?,
                Some(limit) => match layer.facade.clock().timeout(limit, answered).await {
                    Ok(response) => response?,
                    Err(_) => {
                        kept.waited = limit;
                        return Ok(Box::pin(layer.refuse(kept, Failure::too_late())).await);
                    }
                },
            };
            let Some(status) = unreached(response.headers()) else { return Ok(response) };
            let failure = failure(&kept.uri, &status);
            // Boxed: nearly every call is answered, and needs no room for this.
            let mut refused = Box::pin(layer.refuse(kept, failure)).await;
            if let Some(encodings) = response.headers().get(GRPC_ACCEPT_ENCODING) {
                refused.headers_mut().insert(GRPC_ACCEPT_ENCODING, encodings.clone());
            }
            Ok(refused)
        })
    }
}

/// The status of a call that was refused before the facade saw it.
fn unreached(headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key(&GRPC_STATUS) || headers.contains_key(GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    // NOT_FOUND is the health service's own answer for a name that it does not know.
    (!matches!(status.code(), Code::Ok | Code::NotFound)).then_some(status)
}

impl Layer {
    async fn refuse(&self, kept: Kept, failure: Failure) -> Response {
        let path = kept.uri.path().to_owned();
        let method = match &failure {
            Failure::Refused { reason, .. } if *reason == Reason::MethodUnknown.code() => None,
            _ => self.methods.descriptor(&path).or_else(|| method::of_ours(&path)),
        };
        let asked = Asked { waited: kept.waited, ..Asked::default() };
        let shape = Shape {
            blank: || method.map(|method| DynamicMessage::new(method.output())),
            fill: |payload, result| match payload {
                Payload::Typed(Some(mut response)) => {
                    let filled = fill_result(&mut response, result);
                    (Some(response), filled)
                }
                Payload::Typed(None) | Payload::Stored(_) => (None, false),
            },
            show: Option::clone,
        };
        let handler = |_| std::future::ready(Err(failure));
        let answered = self.facade.run(&path, kept.request(), asked, shape, handler).await;
        match answered {
            Ok(envelope) => in_body(envelope.into_inner()),
            Err(status) => status.into_http(),
        }
    }
}

/// What the caller did wrong, by what tonic says of it. INTERNAL is tonic's word for a frame that is cut short or has
/// an unknown flag: nothing inside has failed.
fn failure(uri: &Uri, status: &Status) -> Failure {
    let said = status.message();
    let unreadable = |code, said: &str| {
        let sentence = format!("the body of the request cannot be read: {said}");
        Failure::refused(code, Reason::BodyUnreadable, sentence)
    };
    match status.code() {
        Code::Unimplemented if status.metadata().get(GRPC_ACCEPT_ENCODING).is_none() => {
            let path: String = uri.path().chars().take(PATH_TOLD).collect();
            let sentence = format!("this server has no method {path}");
            Failure::new(Reason::MethodUnknown, sentence)
        }
        Code::OutOfRange | Code::ResourceExhausted => Failure::new(Reason::MessageTooLarge, said),
        Code::Internal => unreadable(Code::InvalidArgument, said),
        code => unreadable(code, said),
    }
}

/// One message, as a stream of one or as the answer of a unary call: both are the same bytes.
fn in_body(message: Option<DynamicMessage>) -> Response {
    let message = message.map(|message| Bytes::from(message.encode_to_vec())).unwrap_or_default();
    let messages = futures::stream::iter([Ok::<_, Status>(message)]);
    let whole = SingleMessageCompressionOverride::default();
    let body = EncodeBody::new_server(Raw, messages, None, whole, None);
    let mut response = http::Response::new(AxumBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}

/// What a refusal needs to know of its call. Taken before the call goes on, for then the request is gone; each part is
/// a counted reference.
struct Kept {
    uri: Uri,
    headers: [Option<HeaderValue>; call::CONTEXT.len()],
    peer: Option<TcpConnectInfo>,
    /// How long the request was waited for in vain.
    waited: Duration,
}

impl Kept {
    fn of<B>(request: &http::Request<B>) -> Self {
        Self {
            uri: request.uri().clone(),
            headers: call::CONTEXT.map(|name| request.headers().get(name).cloned()),
            peer: request.extensions().get().cloned(),
            waited: Duration::ZERO,
        }
    }

    /// How long the call may go without an answer. Within the process there is no such limit: the caller times its call
    /// itself, and the body comes with the request.
    fn time_for(&self, headers: &HeaderMap) -> Option<Duration> {
        self.peer.as_ref()?;
        // One that is malformed is refused when the call's context is read.
        deadline::read(headers).ok().flatten().map(deadline::latest)
    }

    /// The call without its body.
    fn request(self) -> tonic::Request<Bytes> {
        let mut headers = HeaderMap::new();
        for (name, value) in call::CONTEXT.into_iter().zip(self.headers) {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        let mut extensions = Extensions::new();
        if let Some(peer) = self.peer {
            extensions.insert(peer);
        }
        tonic::Request::from_parts(MetadataMap::from_headers(headers), extensions, Bytes::new())
    }
}
