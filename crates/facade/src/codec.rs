//! Message codecs: typed messages, and bytes left as they are.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Typed messages. A body that is no such message is the caller's fault: INVALID_ARGUMENT, where tonic's own codec
/// answers INTERNAL.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Typed<T>;
    type Decoder = Typed<U>;

    fn encoder(&mut self) -> Typed<T> {
        Typed(PhantomData)
    }

    fn decoder(&mut self) -> Typed<U> {
        Typed(PhantomData)
    }
}

/// Encodes and decodes one message type.
#[derive(Debug)]
pub struct Typed<T>(PhantomData<T>);

impl<T: Message> Encoder for Typed<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<T: Message + Default> Decoder for Typed<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::decode(buffer).map(Some).map_err(|error| {
            Status::invalid_argument(format!("it is not the method's request message: {error}"))
        })
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
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        // A copy: handing out a slice would pin the connection's whole receive buffer for as long as it is kept.
        Ok(Some(Bytes::copy_from_slice(&buffer.copy_to_bytes(buffer.remaining()))))
    }
}
