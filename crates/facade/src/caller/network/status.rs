//! The status of an answer, read from what a stranger sends: however long or broken its message and details are, the code
//! that it has is kept.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;
use tonic::{Code, Status};

use crate::status::GRPC_STATUS;

static GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// How much is read of a status's message, and how large its details may be. Details that are cut are none.
const MAX_MESSAGE_BYTES: usize = 8 << 10;
const MAX_DETAILS_BYTES: usize = 64 << 10;

/// gRPC leaves the padding out, and some servers do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether `headers` have the status OK; false where they have no status, and an error where they have another.
pub(super) fn is_ok(headers: &HeaderMap) -> Result<bool, Status> {
    match headers.get(&GRPC_STATUS) {
        None => Ok(false),
        Some(status) if status == "0" => Ok(true),
        Some(status) => match Code::from_bytes(status.as_bytes()) {
            Code::Ok => Ok(true),
            code => Err(Status::with_details(code, message(headers), details(headers))),
        },
    }
}

fn message(headers: &HeaderMap) -> String {
    let Some(message) = headers.get(&GRPC_MESSAGE) else { return String::new() };
    let message = message.as_bytes();
    let message = &message[..message.len().min(MAX_MESSAGE_BYTES)];
    percent_decode(message).decode_utf8_lossy().into_owned()
}

fn details(headers: &HeaderMap) -> Bytes {
    let details = headers.get(&GRPC_STATUS_DETAILS).map(http::HeaderValue::as_bytes);
    details
        .filter(|details| details.len() <= MAX_DETAILS_BYTES)
        .and_then(|details| BASE64.decode(details).ok())
        .map(Bytes::from)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(headers: &[(&HeaderName, &[u8])]) -> Result<bool, Status> {
        let value = |bytes| HeaderValue::from_bytes(bytes).unwrap();
        is_ok(&headers.iter().map(|(name, bytes)| ((*name).clone(), value(bytes))).collect())
    }

    #[test]
    fn a_status_is_its_code_its_message_and_its_details() {
        assert!(read(&[(&GRPC_STATUS, b"0")]).unwrap());
        assert!(!read(&[]).unwrap());
        for details in ["aGk", "aGk="] {
            let status = read(&[
                (&GRPC_STATUS, b"9"),
                (&GRPC_MESSAGE, b"kein%20Geld%20%E2%82%AC"),
                (&GRPC_STATUS_DETAILS, details.as_bytes()),
            ])
            .unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!((status.message(), status.details()), ("kein Geld €", &b"hi"[..]));
        }
    }

    #[test]
    fn a_code_is_kept_whatever_is_wrong_with_its_message_and_details() {
        let long = vec![b'x'; 1 << 20];
        let cases: [(&[u8], &[u8]); 4] =
            [(b"\xff\xfe", b"!!"), (b"%", b"====="), (b"%E2%82", b"a"), (&long, &long)];
        for (message, details) in cases {
            let status = read(&[
                (&GRPC_STATUS, b"5"),
                (&GRPC_MESSAGE, message),
                (&GRPC_STATUS_DETAILS, details),
            ])
            .unwrap_err();
            assert_eq!(status.code(), Code::NotFound);
            assert!(status.message().len() <= MAX_MESSAGE_BYTES && status.details().is_empty());
        }
        let unknown = read(&[(&GRPC_STATUS, b"nine")]).unwrap_err();
        assert_eq!(unknown.code(), Code::Unknown);
    }
}
