//! The encodings that a message may come in. Which of them are read is said with every call (`grpc-accept-encoding`).

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;

use super::{
    super::defect::Defect,
    response::{Bound, Room},
};

static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(super) static GRPC_ACCEPT_ENCODING: HeaderName =
    HeaderName::from_static("grpc-accept-encoding");
/// The encodings that are read.
pub(super) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip");

/// How much is inflated before it is counted.
const PIECE_BYTES: usize = 8 << 10;

/// How an answer says that its message is compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Other(HeaderValue),
}

impl Encoding {
    pub(super) fn of(head: &HeaderMap) -> Self {
        match head.get(&GRPC_ENCODING) {
            None => Self::Identity,
            Some(encoding) if encoding == "identity" => Self::Identity,
            Some(encoding) if encoding == "gzip" => Self::Gzip,
            Some(encoding) => Self::Other(encoding.clone()),
        }
    }

    /// The message that came compressed. No more of it is inflated than is taken.
    ///
    /// # Errors
    /// One that has a [`Defect`].
    pub(super) fn decompress(
        &self,
        compressed: Bytes,
        bound: &Bound,
        room: &mut Room,
    ) -> Result<Bytes, Status> {
        match self {
            // Nothing is what nothing is compressed to.
            _ if compressed.is_empty() => Ok(compressed),
            Self::Gzip => inflate(&compressed, bound, room),
            Self::Identity => Err(Defect::Garbled.status(
                "the answer is marked as compressed, and does not say how (grpc-encoding)".to_owned(),
            )),
            Self::Other(encoding) => Err(Defect::Encoding.status(format!(
                "the answer is compressed with {encoding:?}, and only gzip is read: let the participant compress with \
                 gzip, or not at all"
            ))),
        }
    }
}

fn inflate(compressed: &[u8], bound: &Bound, room: &mut Room) -> Result<Bytes, Status> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut message = Vec::new();
    let mut piece = [0; PIECE_BYTES];
    loop {
        let inflated = decoder.read(&mut piece).map_err(|error| {
            Defect::Garbled
                .status(format!("the answer is not compressed with gzip as it says: {error}"))
        })?;
        if inflated == 0 {
            return Ok(message.into());
        }
        message.extend_from_slice(&piece[..inflated]);
        if message.len() > bound.bytes {
            return Err(
                bound.exceeded_by(&format!("more than {} bytes, decompressed", bound.bytes))
            );
        }
        room.hold(message.len(), inflated)?;
    }
}
