//! Statuses that tell of a message which is larger than a gRPC library takes or sends. They have the code of a participant
//! that has too much to do, and mean something else: the same message never gets through.

use tonic::{Code, Status};

/// Which message was too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// The request: it was refused before the method saw it.
    Request,
    /// The response, when the call had been carried out.
    Response,
}

/// What the libraries say of a response that their server does not send, in small letters. Looked for first: one of them
/// contains what another says of a request.
const RESPONSES: [&str; 4] = [
    // gRPC's C core (Python, Ruby, C++, PHP), Node.
    "sent message larger than max",
    // Go.
    "trying to send message larger than max",
    // tonic.
    "encoded message length too large",
    // .NET.
    "sending message exceeds the maximum configured message size",
];

/// What they say of a request that their server does not take.
const REQUESTS: [&str; 10] = [
    // gRPC's C core, Go, Node: "received message larger than max (6000005 vs. 4194304)".
    "received message larger than max",
    // Go, of a compressed one.
    "received message after decompression larger than max",
    // Java, Kotlin; also of a compressed one.
    "grpc message exceeds maximum size",
    // tonic.
    "decoded message length too large",
    // .NET.
    "received message exceeds the maximum configured message size",
    // Connect, in Go and in TypeScript.
    "is larger than configured max",
    "is larger than configured readmaxbytes",
    // Swift, old and new.
    "payload length exceeds limit",
    "exceeded the configured maximum payload size",
    // Others write their own server, and their words after these.
    "message too large",
];

/// Which message a status says is too large, where it does.
pub(super) fn too_large(status: &Status) -> Option<TooLarge> {
    // Some have OUT_OF_RANGE for it.
    if !matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange) {
        return None;
    }
    let words = status.message().to_ascii_lowercase();
    let says = |phrase: &&str| words.contains(*phrase);
    if RESPONSES.iter().any(says) {
        return Some(TooLarge::Response);
    }
    REQUESTS.iter().any(says).then_some(TooLarge::Request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_each_library_are_known() {
        for request in [
            "Received message larger than max (6000005 vs. 4194304)",
            "SERVER: Received message larger than max (6000005 vs. 4194304)",
            "Received message larger than max (6000005 vs 4194304)",
            "grpc: received message larger than max (6000005 vs. 4194304)",
            "grpc: received message after decompression larger than max (6000005 vs. 4194304)",
            "gRPC message exceeds maximum size 4194304: 6000005",
            "Decompressed gRPC message exceeds maximum size 4194304",
            "Received message exceeds the maximum configured message size.",
            "Error, decoded message length too large: found 6000005 bytes, the limit is: 4194304 bytes",
            "message size 6000005 is larger than configured max 4194304",
            "Message has exceeded the configured maximum payload size (max: 4194304, actual: 6000005)",
        ] {
            assert_eq!(
                too_large(&Status::resource_exhausted(request)),
                Some(TooLarge::Request),
                "{request}"
            );
        }
        for response in [
            "Sent message larger than max (6000005 vs. 4194304)",
            "grpc: trying to send message larger than max (6000005 vs. 4194304)",
            "Sending message exceeds the maximum configured message size.",
        ] {
            assert_eq!(
                too_large(&Status::resource_exhausted(response)),
                Some(TooLarge::Response),
                "{response}"
            );
        }
        let encoded =
            "Error, encoded message length too large: found 6000005 bytes, the limit is: 1";
        assert_eq!(too_large(&Status::out_of_range(encoded)), Some(TooLarge::Response));
    }

    #[test]
    fn a_participant_that_has_too_much_to_do_does_not_say_so() {
        for busy in [
            "",
            "busy",
            "queue is larger than allowed",
            "the number of messages in flight exceeds the maximum",
            "Bandwidth exhausted",
            "request rate exceeds maximum",
        ] {
            assert_eq!(too_large(&Status::resource_exhausted(busy)), None, "{busy}");
        }
        assert_eq!(too_large(&Status::unavailable("message too large")), None);
    }
}
