//! What the expressions of one saga may see: who it is, its request, the responses so far.
//!
//! The bytes are the truth; each is decoded when an expression first asks for it, and once.

use std::borrow::Cow;
use std::sync::OnceLock;

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use saga::StepId;

use super::error::{ErrorKind, UnlocatedError};
use super::meter::Meter;
use super::path::{Path, Root, SagaField, Selected};
use super::wire;

/// Which saga it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The saga's id.
    pub id: &'a str,
    /// Its key, as the definition's `key` or the starter gave it.
    pub key: &'a str,
    /// Why it turned back, an UPPER_SNAKE reason; "" while it goes forward.
    pub reason_code: &'a str,
    /// The same for a person.
    pub reason: &'a str,
}

/// The facts about one saga, made by `Compiled::facts`.
#[derive(Debug)]
pub struct Facts<'a> {
    identity: Identity<'a>,
    definition: (&'a str, u32),
    request: Part<'a>,
    responses: Vec<Part<'a>>,
    /// What lookups found, by the steps whose calls they looked for.
    found: Vec<(usize, Part<'a>)>,
    /// The response that is being judged, of a call or of an undo.
    judged: Option<Part<'a>>,
    meter: Meter,
}

#[derive(Debug)]
struct Part<'a> {
    descriptor: &'a MessageDescriptor,
    /// `None` reads as the empty message: the step was skipped.
    bytes: Option<&'a [u8]>,
    decoded: OnceLock<Result<Value, UnlocatedError>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        definition: (&'a str, u32),
        identity: Identity<'a>,
        request: (&'a MessageDescriptor, &'a [u8]),
        responses: impl Iterator<Item = &'a MessageDescriptor>,
    ) -> Self {
        Self {
            identity,
            definition,
            request: Part::new(request.0, Some(request.1)),
            responses: responses.map(|descriptor| Part::new(descriptor, None)).collect(),
            found: Vec::new(),
            judged: None,
            meter: Meter::new(),
        }
    }

    /// Adds the response of a step. A step without one reads as the empty message, as a skipped
    /// step does; an id outside the definition is ignored.
    #[must_use]
    pub fn with_response(mut self, step: StepId, bytes: &'a [u8]) -> Self {
        if let Some(part) = self.responses.get_mut(usize::from(step.0)) {
            *part = Part::new(part.descriptor, Some(bytes));
        }
        self
    }

    /// The response of a step, where there is one.
    pub(super) fn response(&self, step: StepId) -> Option<&[u8]> {
        self.responses.get(usize::from(step.0))?.bytes
    }

    /// Whether the step's response came. One without any field says nothing, as what the definition takes for done although
    /// there was no response (`answers: { ALREADY_EXISTS: done }`), so it counts as none.
    pub(super) fn has_response(&self, step: StepId) -> bool {
        let part = self.responses.get(usize::from(step.0));
        part.and_then(|part| part.bytes).is_some_and(|bytes| !bytes.is_empty())
    }

    pub(super) fn with_found(
        mut self,
        step: StepId,
        descriptor: &'a MessageDescriptor,
        bytes: &'a [u8],
    ) -> Self {
        self.found.push((usize::from(step.0), Part::new(descriptor, Some(bytes))));
        self
    }

    /// Whether the lookup of the step's call found something.
    pub(super) fn has_found(&self, step: StepId) -> bool {
        self.found_of(usize::from(step.0)).is_some()
    }

    fn found_of(&self, step: usize) -> Option<&Part<'a>> {
        self.found.iter().find(|(of, _)| *of == step).map(|(_, part)| part)
    }

    /// Sets the response that is being judged.
    pub(super) fn judging(mut self, descriptor: &'a MessageDescriptor, bytes: &'a [u8]) -> Self {
        self.judged = Some(Part::new(descriptor, Some(bytes)));
        self
    }

    /// What evaluating over these facts has taken so far, in thousandths of what it may take
    /// ([`MAX_STEPS`](crate::MAX_STEPS), [`MAX_BYTES`](crate::MAX_BYTES)).
    pub fn used(&self) -> u64 {
        self.meter.used()
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn follow(&self, path: &Path) -> Result<Selected<'_>, UnlocatedError> {
        path.follow(self.root(path.root)?)
    }

    pub(super) fn is_set(&self, path: &Path) -> Result<bool, UnlocatedError> {
        path.is_set(self.root(path.root)?)
    }

    fn root(&self, root: Root) -> Result<Selected<'_>, UnlocatedError> {
        match root {
            Root::Request => self.request.selected(&self.meter),
            Root::Step(step) => self.part(self.responses.get(step)),
            Root::Found(step) => self.part(self.found_of(step)),
            Root::Response => self.part(self.judged.as_ref()),
            Root::Saga(field) => {
                Ok(Selected { value: Cow::Owned(self.about(field)), present: true })
            }
        }
    }

    fn part<'p>(&self, part: Option<&'p Part<'a>>) -> Result<Selected<'p>, UnlocatedError> {
        let other =
            || UnlocatedError::new(ErrorKind::Type, "these facts are of another definition");
        part.ok_or_else(other)?.selected(&self.meter)
    }

    fn about(&self, field: SagaField) -> Value {
        let Identity { id, key, reason_code, reason } = self.identity;
        let text = match field {
            SagaField::Version => return Value::I64(i64::from(self.definition.1)),
            SagaField::Id => id,
            SagaField::Name => self.definition.0,
            SagaField::Key => key,
            SagaField::Reason => reason,
            SagaField::ReasonCode => reason_code,
        };
        Value::String(text.to_owned())
    }
}

impl<'a> Part<'a> {
    fn new(descriptor: &'a MessageDescriptor, bytes: Option<&'a [u8]>) -> Self {
        Self { descriptor, bytes, decoded: OnceLock::new() }
    }

    fn selected(&self, meter: &Meter) -> Result<Selected<'_>, UnlocatedError> {
        let value = Cow::Borrowed(self.value(meter)?);
        Ok(Selected { value, present: self.bytes.is_some() })
    }

    fn value(&self, meter: &Meter) -> Result<&Value, UnlocatedError> {
        let decode = || {
            let bytes = self.bytes.unwrap_or_default();
            meter.charge(wire::cost(self.descriptor, bytes))?;
            let decoded = DynamicMessage::decode(self.descriptor.clone(), bytes);
            decoded.map(Value::Message).map_err(|error| {
                let what = format!("the recorded {}: {error}", self.descriptor.full_name());
                UnlocatedError::new(ErrorKind::Bytes, what)
            })
        };
        self.decoded.get_or_init(decode).as_ref().map_err(Clone::clone)
    }
}
