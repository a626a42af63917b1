//! What a callee answers over HTTP/2: its message, and the status at its end.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Response, StatusCode};
use tonic::{Code, Status};

use crate::status::GRPC_STATUS;

/// The length of what gRPC puts before a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

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
/// The callee's status; UNKNOWN where the answer ends without one; INTERNAL where it is not one message.
pub(super) async fn read(
    response: Response<RecvStream>,
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
    while let Some(data) = stream.data().await {
        heard();
        let data = data.map_err(broken)?;
        body.extend_from_slice(&data);
        // Lets the peer send as much again. It fails only where the stream has ended, and then nothing more comes.
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

/// The one message of a unary call.
fn message(mut body: BytesMut) -> Result<Bytes, Status> {
    let Some((&[compressed, a, b, c, d], message)) = body.split_first_chunk() else {
        return Err(Status::internal("the answer has no message"));
    };
    if compressed != 0 {
        return Err(Status::internal("the answer is compressed, which nobody asked for"));
    }
    let length = u32::from_be_bytes([a, b, c, d]);
    if usize::try_from(length).ok() != Some(message.len()) {
        return Err(Status::internal(format!(
            "the answer is not one message: {length} bytes are announced, {} came",
            message.len()
        )));
    }
    body.advance(PREFIX_BYTES);
    Ok(body.freeze())
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

/// What a caller is told of a connection or stream that broke.
pub(super) fn broken(error: h2::Error) -> Status {
    // What was under way may have landed; a stream that the peer refused or reset says why by its code.
    match error.is_io() || error.is_go_away() {
        true => Status::unavailable(format!("the connection broke: {error}")),
        false => Status::from_error(Box::new(error)),
    }
}
