//! How a saga ended, as whoever repeats its start is told, also when the saga itself has been removed.

use bytes::Bytes;
use prost::Message;
use saga::{Reason, Status};

use super::NamedCause;

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// SUCCEEDED, COMPENSATED or RESOLVED.
    pub status: Status,
    /// The reply of a saga that succeeded and serves a method, encoded.
    pub reply: Bytes,
    /// Why it did not succeed.
    pub why: Option<NamedCause>,
    /// The id of the trace that it was started in.
    pub trace_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEnding {
    #[prost(string, tag = "1")]
    status: String,
    #[prost(bytes = "bytes", tag = "2")]
    reply: Bytes,
    #[prost(string, optional, tag = "3")]
    code: Option<String>,
    #[prost(string, tag = "4")]
    message: String,
    #[prost(string, tag = "5")]
    step: String,
    #[prost(string, tag = "6")]
    trace_id: String,
}

impl Ending {
    /// The bytes that are kept with the key.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { status, reply, why, trace_id } = self;
        let NamedCause { reason, step } = why
            .clone()
            .unwrap_or_else(|| NamedCause { reason: Reason::new("", ""), step: String::new() });
        let code = why.as_ref().map(|_| reason.code);
        StoredEnding {
            status: status.as_str().to_owned(),
            reply: reply.clone(),
            code,
            message: reason.message,
            step,
            trace_id: trace_id.clone(),
        }
        .encode_to_vec()
    }

    /// Reads [`Ending::encode`]'s bytes; `None` where they are not.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let StoredEnding { status, reply, code, message, step, trace_id } =
            StoredEnding::decode(bytes).ok()?;
        let status = Status::from_name(&status).filter(|status| status.is_ended())?;
        let why = code.map(|code| NamedCause { reason: Reason { code, message }, step });
        Some(Self { status, reply, why, trace_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_read_back_as_it_was_written_and_nothing_else_is_read() {
        let why = NamedCause { reason: Reason::new("NO", "a sentence"), step: "freeze".to_owned() };
        for (status, why) in [(Status::Succeeded, None), (Status::Compensated, Some(why))] {
            let trace_id = "t".to_owned();
            let ending = Ending { status, reply: Bytes::from_static(b"reply"), why, trace_id };
            assert_eq!(Ending::decode(&ending.encode()), Some(ending));
        }
        assert_eq!(Ending::decode(b""), None, "it has no state");
        assert_eq!(Ending::decode(&[0xff; 5]), None);
        let running = StoredEnding { status: "RUNNING".to_owned(), ..StoredEnding::default() };
        assert_eq!(Ending::decode(&running.encode_to_vec()), None);
    }
}
