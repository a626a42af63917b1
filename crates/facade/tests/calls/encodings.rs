//! Messages that come compressed: gzip is read, within the limit of what is taken, and anything else is told for what it is.

use std::{io::Write, num::NonZero};

use bytes::Bytes;
use clock::Clock;
use facade::{caller::Defect, dial::Peer};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Response};
use tonic::{Code, Status};

use crate::network::{LIMIT, accept, at, begin, headers, listen, to_peer};

const MIB: usize = 1 << 20;

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

/// What a caller that takes a MiB gets for an answer that is marked as compressed.
async fn answer(encoding: Option<&'static str>, compressed: Vec<u8>) -> Result<Bytes, Status> {
    let (listener, address) = listen().await;
    let peer = Peer { max_response: NonZero::new(MIB).unwrap(), ..at(address) };
    let under_way = begin(&to_peer(Clock::system(), &peer), b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (request, mut respond) = streams.recv().await.unwrap();
    assert_eq!(request.headers()["grpc-accept-encoding"], "identity,gzip");
    let mut response = Response::new(());
    if let Some(encoding) = encoding {
        response.headers_mut().insert("grpc-encoding", HeaderValue::from_static(encoding));
    }
    let mut body = respond.send_response(response, false).unwrap();
    let mut message = vec![1];
    message.extend(u32::try_from(compressed.len()).unwrap().to_be_bytes());
    message.extend(compressed);
    body.send_data(message.into(), false).unwrap();
    body.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
    under_way.await.unwrap()
}

#[tokio::test]
async fn a_message_that_is_compressed_with_gzip_is_read() {
    for message in [vec![], b"hello".to_vec(), vec![7; MIB]] {
        assert_eq!(answer(Some("gzip"), gzip(&message)).await.unwrap(), message);
    }
    assert_eq!(answer(Some("gzip"), vec![]).await.unwrap(), "");
    // RFC 1952: a file may have several members.
    let members = [gzip(b"one "), gzip(b"other")].concat();
    assert_eq!(answer(Some("gzip"), members).await.unwrap(), "one other");
}

#[tokio::test]
async fn no_more_is_decompressed_than_is_taken() {
    for length in [MIB + 1, 8 * MIB] {
        let told = answer(Some("gzip"), gzip(&vec![0; length])).await.unwrap_err();
        assert_eq!(Defect::of(&told), Some(Defect::TooLarge), "{told:?}");
        let expected = "has more than 1048576 bytes, decompressed, and 1048576 are taken \
                        (participants.cards.v1.Cards.max_response)";
        assert!(told.message().ends_with(expected), "{told:?}");
    }
}

#[tokio::test]
async fn an_encoding_that_is_not_read_is_named_with_the_cure() {
    let told = answer(Some("zstd"), b"whatever".to_vec()).await.unwrap_err();
    assert_eq!((told.code(), Defect::of(&told)), (Code::Internal, Some(Defect::Encoding)));
    let expected = "the answer is compressed with \"zstd\", and only gzip is read: let the participant \
                    compress with gzip, or not at all";
    assert_eq!(told.message(), expected);
}

#[tokio::test]
async fn a_compressed_message_that_is_none_is_told_as_garbled() {
    let mut cut = gzip(b"hello");
    cut.truncate(cut.len() - 3);
    let mut behind = gzip(b"hello");
    behind.extend(b"more");
    let mut wrong = gzip(b"hello");
    if let [.., checksum, _, _, _, _] = wrong.as_mut_slice() {
        *checksum ^= 1;
    }
    let cases = [
        (Some("gzip"), b"no gzip at all".to_vec(), "not compressed with gzip as it says"),
        (Some("gzip"), cut, "not compressed with gzip as it says"),
        (Some("gzip"), behind, "not compressed with gzip as it says"),
        (Some("gzip"), wrong, "not compressed with gzip as it says"),
        (None, gzip(b"hello"), "does not say how (grpc-encoding)"),
        (Some("identity"), gzip(b"hello"), "does not say how (grpc-encoding)"),
    ];
    for (encoding, compressed, why) in cases {
        let told = answer(encoding, compressed).await.unwrap_err();
        assert_eq!((told.code(), Defect::of(&told)), (Code::Internal, Some(Defect::Garbled)));
        assert!(told.message().contains(why), "{told:?}");
    }
}
