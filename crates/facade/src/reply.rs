//! What a handler answers.

use bytes::Bytes;

use crate::Decline;

/// A response without its result.
#[derive(Clone, Debug)]
pub(crate) enum Payload<R> {
    /// A message.
    Typed(R),
    /// The encoded message, as the inbox has it.
    Stored(Bytes),
}

/// A response without its result, which the facade fills.
#[derive(Clone, Debug)]
pub struct Reply<R> {
    pub(crate) payload: Payload<R>,
    pub(crate) decline: Option<Decline>,
    pub(crate) trace_id: Option<String>,
    pub(crate) facts: Vec<(String, String)>,
}

impl<R> Reply<R> {
    pub(crate) fn of(payload: Payload<R>) -> Self {
        Self { payload, decline: None, trace_id: None, facts: Vec::new() }
    }

    /// Says no: OK with `success: false`, for saga steps and served methods alone. Still gives a payload (such as the id of
    /// the saga that declined).
    #[must_use]
    pub fn declined(mut self, decline: Decline) -> Self {
        self.decline = Some(decline);
        self
    }

    /// Adds a fact for `ErrorInfo`, for response types that can tell a decline only by their status.
    #[must_use]
    pub fn with_fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// The answer of an earlier delivery, whose trace it carries.
    #[must_use]
    pub fn first_given_in(mut self, trace_id: impl Into<String>) -> Self {
        self.trace_id = Some(trace_id.into());
        self
    }
}

impl<R> From<R> for Reply<R> {
    fn from(message: R) -> Self {
        Self::of(Payload::Typed(message))
    }
}
