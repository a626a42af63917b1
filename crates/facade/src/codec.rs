//! Message codecs: typed requests with the bytes that they came in, responses with their result, and bytes left as they
//! are.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::{EncodeError, Message};
use proto::{Response, facade::v1::ResultInfo};
use tonic::{
    Status,
    codec::{DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::reply::Payload;

/// A request, and its bytes as they came. A program that knows other fields than its caller would make other bytes of it.
#[derive(Debug)]
pub(crate) struct Received<Q> {
    pub(crate) message: Q,
    pub(crate) bytes: Bytes,
}

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

/// Typed messages. A body that is no such message is the caller's fault: INVALID_ARGUMENT, where tonic's own codec
/// answers INTERNAL.
#[derive(Debug)]
pub(crate) struct Codec<R, Q>(PhantomData<(R, Q)>);

impl<R, Q> Default for Codec<R, Q> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R, Q> tonic::codec::Codec for Codec<R, Q>
where
    R: Message + Response + Send + 'static,
    Q: Message + Default + Send + 'static,
{
    type Encode = Filled<R>;
    type Decode = Received<Q>;
    type Encoder = Typed<R>;
    type Decoder = Typed<Q>;

    fn encoder(&mut self) -> Typed<R> {
        Typed(PhantomData)
    }

    fn decoder(&mut self) -> Typed<Q> {
        Typed(PhantomData)
    }
}

/// Encodes responses of one type, or decodes requests of one type.
#[derive(Debug)]
pub(crate) struct Typed<T>(PhantomData<T>);

impl<R: Message + Response> Encoder for Typed<R> {
    type Item = Filled<R>;
    type Error = Status;

    fn encode(&mut self, response: Filled<R>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.write(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<Q: Message + Default> Decoder for Typed<Q> {
    type Item = Received<Q>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Received<Q>>, Status> {
        let bytes = copied(buffer);
        let message = Q::decode(bytes.as_ref()).map_err(|error| {
            Status::invalid_argument(format!("it is not the method's request message: {error}"))
        })?;
        Ok(Some(Received { message, bytes }))
    }
}

/// A copy: a slice would pin the connection's whole receive buffer for as long as it is kept.
fn copied(buffer: &mut DecodeBuf<'_>) -> Bytes {
    Bytes::copy_from_slice(&buffer.copy_to_bytes(buffer.remaining()))
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
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(copied(buffer)))
    }
}
