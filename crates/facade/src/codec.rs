//! Message codecs: requests as the bytes that they came in, responses with their result, and bytes left as they are.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{EncodeError, Message};
use proto::{Response, facade::v1::ResultInfo};
use tonic::{
    Status,
    codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::reply::Payload;

/// A response with its result, as it goes out.
#[derive(Debug)]
pub(crate) enum Filled<R> {
    /// The result is filled in the message.
    Typed(R),
    /// The encoded response, which has no result; the result goes behind it.
    Stored(Bytes, ResultInfo),
}

impl<R: Response> Filled<R> {
    pub(crate) fn new(payload: Payload<R>, result: ResultInfo) -> Self {
        match payload {
            Payload::Typed(mut message) => {
                message.set_result(result);
                Self::Typed(message)
            }
            Payload::Stored(bytes) => Self::Stored(bytes, result),
        }
    }
}

impl<R: Message + Response> Filled<R> {
    /// Writes it into a buffer that grows.
    fn write(&self, buffer: &mut impl BufMut) -> Result<(), EncodeError> {
        match self {
            Self::Typed(message) => message.encode(buffer),
            Self::Stored(bytes, result) => {
                buffer.put_slice(bytes);
                prost::encoding::message::encode(R::RESULT, result, buffer);
                Ok(())
            }
        }
    }

    /// Its bytes, for the log.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).map(|()| bytes)
    }
}

/// How large a buffer is that a message is written into at first; most are smaller. What waits to be sent should take up
/// little more than it says.
const WRITE_BUFFER: usize = 1024;
/// How much of a stream's messages is sent at once.
const SENT_AT_ONCE: usize = 32 * 1024;

/// Requests as their bytes came, which say which request it is: a program that knows other fields than its caller would
/// make other bytes of the message. Responses with their result.
#[derive(Debug)]
pub(crate) struct Codec<R>(PhantomData<R>);

impl<R> Default for Codec<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Response + 'static> tonic::codec::Codec for Codec<R> {
    type Encode = Filled<R>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Raw;

    fn encoder(&mut self) -> Self {
        Self(PhantomData)
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl<R: Message + Response> Encoder for Codec<R> {
    type Item = Filled<R>;
    type Error = Status;

    fn encode(&mut self, response: Filled<R>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.write(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(WRITE_BUFFER, SENT_AT_ONCE)
    }
}

/// Bytes as they are, both ways: for methods that are known only at run time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl tonic::codec::Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(WRITE_BUFFER, SENT_AT_ONCE)
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        // The buffer has nothing else in it: no more is kept than the message.
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }

    /// Messages come whole, so that there is nothing to make room for before.
    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, SENT_AT_ONCE)
    }
}
