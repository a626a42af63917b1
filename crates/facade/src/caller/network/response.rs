//! What a callee answers over HTTP/2: its message, and the status at its end.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::{Response, StatusCode, uri::PathAndQuery};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::{Code, Status};

use super::{super::defect::Defect, connect::MAX_HEADER_BYTES, encoding::Encoding, status};

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
    /// The status for a response that has so much: a number of bytes.
    pub(super) fn exceeded_by(&self, size: &str) -> Status {
        let (path, taken) = (self.path.path(), self.bytes);
        let service = path.split('/').nth(1).unwrap_or_default();
        Defect::TooLarge.status(format!(
            "the response of {path} has {size}, and {taken} are taken (participants.{service}.max_response)"
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
/// The callee's status; UNKNOWN where the answer ends without one; one with a [`Defect`].
pub(super) async fn read(
    response: Response<RecvStream>,
    bound: &Bound,
    heard: impl Fn(),
) -> Result<Bytes, Status> {
    let (head, mut stream) = response.into_parts();
    // A call that fails before its message has its status in the head.
    let ok_in_head = status::is_ok(&head.headers)?;
    if !ok_in_head && head.status != StatusCode::OK {
        return Err(no_grpc(head.status));
    }
    let encoding = Encoding::of(&head.headers);
    // The data is copied, because a slice would keep the connection's whole receive buffer alive.
    let mut body = BytesMut::new();
    let mut room = Room::default();
    while let Some(data) = stream.data().await {
        heard();
        let data = data.map_err(broken)?;
        body.extend_from_slice(&data);
        if let Some(Prefix { length, .. }) = Prefix::of(&body) {
            let came = body.len() - PREFIX_BYTES;
            if length.max(came) > bound.bytes {
                return Err(bound.exceeded_by(&format!("{} bytes", length.max(came))));
            }
            if came > length {
                return Err(not_one_message(length, came));
            }
            room.hold(came, data.len())?;
        }
        // The peer may send as much again. It fails where the stream has ended, and nothing is to come.
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let trailers = stream.trailers().await.map_err(broken)?;
    heard();
    let ok_in_trailers = match &trailers {
        Some(trailers) => status::is_ok(trailers)?,
        None => false,
    };
    match ok_in_head || ok_in_trailers {
        true => message(body, &encoding, bound, &mut room),
        false => Err(Status::unknown("the answer ended without a grpc-status")),
    }
}

/// What stands before a message.
#[derive(Clone, Copy)]
struct Prefix {
    is_compressed: bool,
    length: usize,
}

impl Prefix {
    /// `None` until all of it has come.
    fn of(body: &[u8]) -> Option<Self> {
        let (&[compressed, a, b, c, d], _) = body.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        Some(Self { is_compressed: compressed != 0, length })
    }
}

/// What a response holds of the room that there is for all of them. It is given back when this is dropped.
#[derive(Default)]
pub(super) struct Room(Option<SemaphorePermit<'static>>);

impl Room {
    /// Takes room for `more` bytes of a message of which `in_all` are there; small ones are not counted.
    ///
    /// # Errors
    /// UNAVAILABLE where there is none.
    pub(super) fn hold(&mut self, in_all: usize, more: usize) -> Result<(), Status> {
        if in_all <= SMALL {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let more = ROOM.try_acquire_many(more).map_err(|_| {
            Status::unavailable(format!("{UNDER_WAY} bytes of other responses are under way"))
        })?;
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        Ok(())
    }
}

/// The one message of a unary call.
fn message(
    mut body: BytesMut,
    encoding: &Encoding,
    bound: &Bound,
    room: &mut Room,
) -> Result<Bytes, Status> {
    let Some(Prefix { is_compressed, length }) = Prefix::of(&body) else {
        return Err(Defect::Garbled.status("the answer has no message".to_owned()));
    };
    let came = body.len() - PREFIX_BYTES;
    if length != came {
        return Err(not_one_message(length, came));
    }
    body.advance(PREFIX_BYTES);
    match is_compressed {
        true => encoding.decompress(body.freeze(), bound, room),
        false => Ok(body.freeze()),
    }
}

fn not_one_message(announced: usize, came: usize) -> Status {
    Defect::Garbled.status(format!(
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
        true => Defect::TooLarge.status(format!(
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
