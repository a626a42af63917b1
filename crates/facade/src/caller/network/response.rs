//! What a callee answers over HTTP/2: its message, and the status at its end.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Response, StatusCode, uri::PathAndQuery};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Code, Status};

use super::{super::too_large, connect::MAX_HEADER_BYTES};
use crate::status::GRPC_STATUS;

/// The length of what gRPC puts before a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// How many bytes there may be of responses that are under way, of all peers together; small ones are not counted. Nobody
/// waits for room: what has arrived for those who wait would keep the connection's window from those who have it.
const UNDER_WAY: usize = 64 << 20;
static ROOM: Semaphore = Semaphore::const_new(UNDER_WAY);
const SMALL: usize = 16 << 10;

/// How much of an answer is taken.
pub(super) struct Bound {
    /// The method that was called.
    pub(super) path: PathAndQuery,
    /// The bytes of its response.
    pub(super) bytes: usize,
}

impl Bound {
    fn exceeded_by(&self, bytes: usize) -> Status {
        let (path, taken) = (self.path.path(), self.bytes);
        let service = path.split('/').nth(1).unwrap_or_default();
        too_large(format!(
            "the response of {path} has {bytes} bytes, and {taken} are taken (participants.{service}.max_response)"
        ))
    }
}

/// The message behind its prefix, as it is sent.
pub(super) fn with_prefix(message: &Bytes) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len())
        .map_err(|_| Status::resource_exhausted("the message is longer than gRPC can send"))?;
    let mut with_prefix = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    with_prefix.extend_from_slice(&[0]);
    with_prefix.extend_from_slice(&length.to_be_bytes());
    with_prefix.extend_from_slice(message);
    Ok(with_prefix.freeze())
}

/// Reads an answer to its end; `heard` is called with each part of it. Dropped before, it ends the call.
///
/// # Errors
/// The callee's status; UNKNOWN where the answer ends without one; INTERNAL where it is not one message; one that
/// [`is_too_large`](super::super::is_too_large).
pub(super) async fn read(
    response: Response<RecvStream>,
    bound: &Bound,
    heard: impl Fn(),
) -> Result<Bytes, Status> {
    let (head, mut stream) = response.into_parts();
    // A call that fails before its message has its status in the head.
    let ok_in_head = is_ok_status(&head.headers)?;
    if !ok_in_head && head.status != StatusCode::OK {
        return Err(no_grpc(head.status));
    }
    // The data is copied, because a slice would keep the connection's whole receive buffer alive.
    let mut body = BytesMut::new();
    let mut room: Option<SemaphorePermit<'_>> = None;
    while let Some(data) = stream.data().await {
        heard();
        let data = data.map_err(broken)?;
        body.extend_from_slice(&data);
        if let Some(length) = announced(&body)? {
            let came = body.len() - PREFIX_BYTES;
            if length.max(came) > bound.bytes {
                return Err(bound.exceeded_by(length.max(came)));
            }
            if came > length {
                return Err(not_one_message(length, came));
            }
            if came > SMALL {
                let more = room_for(data.len())?;
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
        }
        // The peer may send as much again. It fails where the stream has ended, and nothing is to come.
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let trailers = stream.trailers().await.map_err(broken)?;
    heard();
    let ok_in_trailers = match &trailers {
        Some(trailers) => is_ok_status(trailers)?,
        None => false,
    };
    match ok_in_head || ok_in_trailers {
        true => message(body),
        false => Err(Status::unknown("the answer ended without a grpc-status")),
    }
}

/// Whether `headers` have the status OK; false where they have no status, and an error where they have another.
fn is_ok_status(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get(&GRPC_STATUS) {
        None => Ok(false),
        // The usual case, read without a `Status`, which would copy all headers.
        Some(status) if status == "0" => Ok(true),
        Some(_) => match Status::from_header_map(headers) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(true),
        },
    }
}

/// The length of the message, once that is known.
fn announced(body: &[u8]) -> Result<Option<usize>, Status> {
    let Some((&[compressed, a, b, c, d], _)) = body.split_first_chunk() else { return Ok(None) };
    if compressed != 0 {
        return Err(Status::internal("the answer is compressed, which nobody asked for"));
    }
    Ok(usize::try_from(u32::from_be_bytes([a, b, c, d])).ok())
}

fn room_for(bytes: usize) -> Result<SemaphorePermit<'static>, Status> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    ROOM.try_acquire_many(bytes).map_err(|_| {
        Status::unavailable(format!("{UNDER_WAY} bytes of other responses are under way"))
    })
}

/// The one message of a unary call.
fn message(mut body: BytesMut) -> Result<Bytes, Status> {
    let Some(length) = announced(&body)? else {
        return Err(Status::internal("the answer has no message"));
    };
    let came = body.len() - PREFIX_BYTES;
    if length != came {
        return Err(not_one_message(length, came));
    }
    body.advance(PREFIX_BYTES);
    Ok(body.freeze())
}

fn not_one_message(announced: usize, came: usize) -> Status {
    Status::internal(format!(
        "the answer is not one message: {announced} bytes are announced, {came} came"
    ))
}

/// What an answer of something other than gRPC means: the mapping of gRPC's `http-grpc-status-mapping.md`.
fn no_grpc(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("what answered is no gRPC server: HTTP status {status}"))
}

/// What a caller is told whose answer has no head. That `h2` refuses one by itself is its size more than anything.
pub(super) fn no_head(error: h2::Error) -> Status {
    let refused = error.is_reset() && error.is_library();
    match refused && error.reason() == Some(h2::Reason::PROTOCOL_ERROR) {
        true => too_large(format!(
            "the answer has more than {MAX_HEADER_BYTES} bytes of headers, or headers that are none"
        )),
        false => broken(error),
    }
}

/// What a caller is told of a connection or stream that broke.
pub(super) fn broken(error: h2::Error) -> Status {
    // What was under way may have landed; a stream that the peer refused or reset says why by its code.
    match error.is_io() || error.is_go_away() {
        true => Status::unavailable(format!("the connection broke: {error}")),
        false => Status::from_error(Box::new(error)),
    }
}
