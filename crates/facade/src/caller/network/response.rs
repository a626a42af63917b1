//! What a callee answers over HTTP/2: its message, and the status at its end.

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::{HeaderMap, Response, StatusCode};
use tonic::{Code, Status};

use crate::status::GRPC_STATUS;

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The message behind its prefix, as it is sent.
pub(super) fn framed(message: &Bytes) -> Result<Bytes, Status> {
    let length = u32::try_from(message.len())
        .map_err(|_| Status::resource_exhausted("the message is longer than gRPC can send"))?;
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.extend_from_slice(&[0]);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    Ok(framed.freeze())
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
    // A call that fails before its message has its status here.
    let told_first = told(&head.headers)?;
    if !told_first && head.status != StatusCode::OK {
        return Err(no_grpc(head.status));
    }
    // A copy: a slice would keep the connection's whole receive buffer for as long as it is kept.
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        heard();
        let data = data.map_err(broken)?;
        body.extend_from_slice(&data);
        // The peer may send as much again. It fails where the stream has ended, and nothing is to come.
        let _ = stream.flow_control().release_capacity(data.len());
    }
    let trailers = stream.trailers().await.map_err(broken)?;
    heard();
    let told_last = match &trailers {
        Some(trailers) => told(trailers)?,
        None => false,
    };
    match told_first || told_last {
        true => message(body),
        false => Err(Status::unknown("the answer ended without a grpc-status")),
    }
}

/// Whether `headers` tell that the call was carried out; false where they tell nothing.
fn told(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get(&GRPC_STATUS) {
        None => Ok(false),
        // Most are, and a `Status` would have a copy of all headers.
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
    body.advance(PREFIX);
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
