//! What is certain of a call that failed: that its callee has not processed it. This is the one place that knows.
//!
//! Said only where it is certain. A call that may have reached its callee is never [`NotSent`], however unlikely it is that
//! it was processed: whoever asks again because of it, or leaves its effect as it is, relies on it.

use std::fmt;

use h2::Reason;
use tonic::Status;

/// What kept a call from its callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// No participant is configured for the service.
    NoPeer,
    /// There is no connection: it was refused, there is no route, or the peer did not speak in time.
    NoConnection,
    /// The peer takes so many calls at once, and all of these were under way as long as was waited.
    NoStream,
    /// Whoever wanted the call does not want it any more.
    Withdrawn,
    /// The peer took it and gave it back unprocessed: REFUSED_STREAM, or a GOAWAY whose last stream is an earlier one.
    Refused,
    /// The connection ended before anything of the call was written.
    NotWritten,
}

/// A call that its callee has certainly not processed: it may be made again, and has no effect that could be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSent {
    /// What kept the call from its callee.
    pub obstacle: Obstacle,
    /// The cause in a sentence for a person, with the address or the limit.
    pub message: String,
}

impl NotSent {
    /// A call that `obstacle` kept from its callee.
    #[must_use]
    pub fn new(obstacle: Obstacle, message: impl Into<String>) -> Self {
        Self { obstacle, message: message.into() }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for NotSent {}

impl From<NotSent> for Status {
    fn from(not_sent: NotSent) -> Self {
        Self::unavailable(not_sent.message)
    }
}

/// Whether a stream that ended by `error`, before a head of its answer came, was certainly not processed. `written`: whether
/// the socket took anything since the request was handed to h2.
pub(super) fn unprocessed(error: &h2::Error, written: bool) -> Option<NotSent> {
    if error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM) {
        return Some(NotSent::new(Obstacle::Refused, "the peer refused the stream"));
    }
    // h2 ends a stream so that came after the last one that the peer's GOAWAY names. Those before it go on, and end by an
    // error of the socket when the connection does.
    if error.is_remote() && error.is_go_away() {
        let why = format!("the peer went away before it took the call: {error}");
        return Some(NotSent::new(Obstacle::Refused, why));
    }
    (!written).then(|| not_written(error))
}

/// A request that never got out of this process, as `error` kept h2 from taking it or ended its connection first.
pub(super) fn not_written(error: &h2::Error) -> NotSent {
    let why = format!("the connection ended before the request was written: {error}");
    NotSent::new(Obstacle::NotWritten, why)
}

/// Why a call has no response.
#[derive(Clone, Debug)]
pub enum CallError {
    /// It has certainly not been processed.
    NotSent(NotSent),
    /// The callee's status; or one of ours, for a call that may have been processed.
    Status(Status),
}

impl From<NotSent> for CallError {
    fn from(not_sent: NotSent) -> Self {
        Self::NotSent(not_sent)
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotSent(not_sent) => not_sent.into(),
            CallError::Status(status) => status,
        }
    }
}
