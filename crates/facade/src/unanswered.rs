//! Calls that no handler answers: a method that is not served, a body that is no message, a message that is too large,
//! a body that does not come in time, a call that a layer refuses by its head. They get the treatment of every other
//! failure: a registered reason, a `ResultInfo`, a log line, and an envelope where the caller asks for one.

use bytes::Bytes;
use http::{HeaderValue, header::CONTENT_TYPE};
use prost_reflect::MethodDescriptor;
use proto::facade::v1::Reason;
use tonic::{
    Code, Status,
    codec::{EncodeBody, SingleMessageCompressionOverride},
    metadata::GRPC_CONTENT_TYPE,
    service::AxumBody,
};

use crate::{
    Failure,
    codec::Raw,
    context::Context,
    echo,
    end::End,
    entry::Response,
    reply::Payload,
    respond::{Described, ResponseType},
    status::{GRPC_STATUS, StatusDetails},
};

/// Says which compressions the server takes. Only there where the caller used another.
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// The failure that a call is told, and what tonic had to say beside it.
pub(crate) struct Refusal {
    failure: Failure,
    encodings: Option<HeaderValue>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, encodings: None }
    }
}

/// What a call is told that tonic refused by itself; `None` where it did not.
pub(crate) fn refusal(context: &Context, response: &Response) -> Option<Refusal> {
    let headers = response.headers();
    if !headers.contains_key(&GRPC_STATUS) {
        return None;
    }
    let status = Status::from_header_map(headers).filter(|status| status.code() != Code::Ok)?;
    let encodings = headers.get(GRPC_ACCEPT_ENCODING).cloned();
    Some(Refusal { failure: failure(context.method(), &status), encodings })
}

/// What the caller did wrong, by what tonic says of it. INTERNAL is tonic's word for a frame that is cut short or has
/// an unknown flag: nothing inside has failed.
fn failure(path: &str, status: &Status) -> Failure {
    let said = status.message();
    let unreadable = |code, said: &str| {
        let sentence = format!("the body of the request cannot be read: {said}");
        Failure::refused(code, Reason::BodyUnreadable, sentence)
    };
    match status.code() {
        Code::Unimplemented if status.metadata().get(GRPC_ACCEPT_ENCODING).is_none() => {
            let sentence = format!("this server has no method {}", echo::cut(path, echo::VALUE));
            Failure::new(Reason::MethodUnknown, sentence)
        }
        Code::OutOfRange | Code::ResourceExhausted => Failure::new(Reason::MessageTooLarge, said),
        Code::Internal => unreadable(Code::InvalidArgument, said),
        code => unreadable(code, said),
    }
}

impl Refusal {
    /// How the call ends, and what it is told: in an envelope where the caller wants one and the method has a result.
    pub(crate) fn into_response(
        self,
        context: &Context,
        method: Option<&MethodDescriptor>,
    ) -> (End, Response) {
        let details = StatusDetails::of(&self.failure);
        let end = End::failed(&self.failure, &details);
        let trace_id = context.trace().id();
        let response_type =
            method.filter(|_| context.identity().envelope).map(|m| Described(m.output()));
        let enveloped = response_type.and_then(|response_type| {
            let blank = Payload::Typed(response_type.blank());
            let (message, filled) = response_type.fill(blank, details.result(&trace_id));
            filled.then(|| in_body(message))
        });
        let mut response = enveloped.unwrap_or_else(|| details.into_status(&trace_id).into_http());
        if let Some(encodings) = self.encodings {
            response.headers_mut().insert(GRPC_ACCEPT_ENCODING, encodings);
        }
        (end, response)
    }
}

/// One message, as a stream of one or as the answer of a unary call: both are the same bytes.
fn in_body(message: Bytes) -> Response {
    let messages = futures::stream::iter([Ok::<_, Status>(message)]);
    let whole = SingleMessageCompressionOverride::default();
    let body = EncodeBody::new_server(Raw, messages, None, whole, None);
    let mut response = http::Response::new(AxumBody::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    response
}
