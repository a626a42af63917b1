//! HTTP/2 by hand: frames that no client library would send, and connections that say what they like.

use std::{io, net::Ipv4Addr};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::task::AbortOnDropHandle;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a frame holds at most where nothing else was agreed on.
const MAX_PAYLOAD: usize = 16_384;

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;

/// The setting that says how much of an answer may come before it was taken.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Data = 0,
    Headers = 1,
    Reset = 3,
    Settings = 4,
    Ping = 6,
    WindowUpdate = 8,
    Continuation = 9,
}

/// One frame, with whatever length its payload has.
pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(9 + payload.len());
    frame.put_uint(payload.len() as u64, 3);
    frame.put_u8(kind as u8);
    frame.put_u8(flags);
    frame.put_u32(stream);
    frame.extend_from_slice(payload);
    frame
}

/// SETTINGS with these values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.put_u16(*name);
        payload.put_u32(*value);
    }
    frame(Kind::Settings, 0, 0, &payload)
}

/// A call's HEADERS, and CONTINUATION where they are long.
pub(crate) fn call(stream: u32, path: &str, more: &[(&str, &str)], end_stream: bool) -> Vec<u8> {
    let block = header_block(path, more);
    let mut frames = Vec::with_capacity(block.len() + 64);
    let pieces = block.chunks(MAX_PAYLOAD).count();
    for (number, piece) in block.chunks(MAX_PAYLOAD).enumerate() {
        let kind = if number == 0 { Kind::Headers } else { Kind::Continuation };
        let end_headers = if number + 1 == pieces { END_HEADERS } else { 0 };
        let end_stream = if number == 0 && end_stream { END_STREAM } else { 0 };
        frames.extend(frame(kind, end_headers | end_stream, stream, piece));
    }
    frames
}

/// A call with its whole message, which must fit into a frame.
pub(crate) fn whole_call(stream: u32, path: &str, message: &impl prost::Message) -> Vec<u8> {
    let mut frames = call(stream, path, &[], false);
    frames.extend(frame(Kind::Data, END_STREAM, stream, &grpc(&message.encode_to_vec())));
    frames
}

/// A message as gRPC frames it.
pub(crate) fn grpc(message: &[u8]) -> Vec<u8> {
    let mut framed = announced(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed
}

/// The head of a message of so many bytes.
pub(crate) fn announced(bytes: u32) -> Vec<u8> {
    let mut head = vec![0];
    head.put_u32(bytes);
    head
}

/// The headers of a call of this path, each written out (HPACK without its tables).
pub(crate) fn header_block(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fixed = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in fixed.iter().chain(more) {
        block.extend(header(name, value));
    }
    block
}

/// One header, not to be indexed.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    put_text(&mut bytes, name);
    put_text(&mut bytes, value);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 127;
    if text.len() < PREFIX {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 128 {
            bytes.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        bytes.push(rest as u8);
    }
    bytes.extend_from_slice(text.as_bytes());
}

/// What a connection does with what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All of it is taken and thrown away.
    All,
    /// Nothing is taken: it stays in the sockets' buffers.
    Nothing,
}

/// A connection that has said that it speaks HTTP/2. Closed when it is dropped.
pub(crate) struct RawConnection {
    sending: OwnedWriteHalf,
    _reading: Result<AbortOnDropHandle<()>, OwnedReadHalf>,
}

impl RawConnection {
    pub(crate) async fn open(
        port: u16,
        values: &[(u16, u32)],
        reading: Reading,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (taking, mut sending) = stream.into_split();
        let reading = match reading {
            Reading::All => Ok(AbortOnDropHandle::new(tokio::spawn(discard(taking)))),
            Reading::Nothing => Err(taking),
        };
        let mut hello = BytesMut::from(PREFACE);
        hello.extend(settings(values));
        // The acknowledgement of the server's settings, which are the first that it says.
        hello.extend(frame(Kind::Settings, 1, 0, &[]));
        sending.write_all(&hello).await?;
        Ok(Self { sending, _reading: reading })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sending.write_all(bytes).await
    }
}

async fn discard(mut taking: OwnedReadHalf) {
    let mut buffer = vec![0; MAX_PAYLOAD];
    while taking.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {}
}

/// Zeros, again and again, as one piece.
pub(crate) fn zeros(bytes: usize) -> Bytes {
    Bytes::from(vec![0; bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_has_its_length_in_several_bytes() {
        let bytes = header("a", &"x".repeat(127 + 200));
        assert_eq!(bytes[..6], [0, 1, b'a', 127, 200 - 128 + 128, 1]);
    }

    #[test]
    fn a_frame_begins_with_its_length_its_kind_its_flags_and_its_stream() {
        let bytes = frame(Kind::Ping, 1, 7, &[9; 8]);
        assert_eq!(bytes[..9], [0, 0, 8, 6, 1, 0, 0, 0, 7]);
        assert_eq!(bytes.len(), 17);
    }
}
