//! What a delivery comes to.

use bytes::Bytes;

/// The reason of a call that arrives after its undo.
pub const SUPERSEDED: &str = "SUPERSEDED";

/// What a call or an undo came to. Every repeat gets it again, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It took effect; the encoded response.
    Done(Bytes),
    /// The business said no, and nothing took effect.
    Declined(Decline),
    /// The answer of an undo whose call never took effect and never will.
    NothingToUndo,
}

/// A definite no of the business: asking again will not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decline {
    /// A registered reason, UPPER_SNAKE.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
}

impl Decline {
    /// A decline for `reason`.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    pub(crate) fn superseded() -> Self {
        Self::new(SUPERSEDED, "the call came after its undo and was not carried out")
    }
}

/// An outcome and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What it came to.
    pub outcome: Decision,
    /// The trace of the delivery that decided the outcome. A response that shows a trace id must show this one,
    /// or a repeat would differ from the first answer.
    pub trace_id: String,
    /// An earlier delivery had decided it: this one changed nothing.
    pub repeated: bool,
}

/// Why work did not come to a response.
///
/// There is no conversion from every error on purpose: a domain error that is a decline must not turn into a
/// technical one by a `?`, for then it would be asked again for ever. A service converts its own error type.
#[derive(Clone, Debug)]
pub enum WorkError {
    /// The business says no: what the work wrote is rolled back, the decline is stored and replayed.
    Declined(Decline),
    /// The business says no, and what the work wrote is kept with the stored decline: the record of an attempt
    /// that failed. An undo keeps nothing: for it this is [`WorkError::Declined`].
    DeclinedKeeping(Decline),
    /// It could not be carried out: nothing is stored, and a repeat runs the work again.
    Technical(store::SharedError),
}

impl WorkError {
    /// A technical failure.
    pub fn technical(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Technical(cause.into().into())
    }
}

impl From<Decline> for WorkError {
    fn from(decline: Decline) -> Self {
        Self::Declined(decline)
    }
}

impl From<store::Error> for WorkError {
    fn from(cause: store::Error) -> Self {
        Self::technical(cause)
    }
}

impl From<prost::DecodeError> for WorkError {
    fn from(cause: prost::DecodeError) -> Self {
        Self::technical(cause)
    }
}
