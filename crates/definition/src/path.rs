//! A plain path such as `quote.lines`, followed through messages without evaluating anything.
//!
//! Most expressions of a definition are nothing else, and are copied; inside larger expressions a
//! path is one slot instead of a chain of lookups.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value};

use super::error::{ErrorKind, UnlocatedError};
use super::types::WellKnown;

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Request,
    /// The response of a step, by its index.
    Step(usize),
    /// What the lookup of a step found.
    Found(usize),
    /// The response that is being judged.
    Response,
    Saga(SagaField),
}

/// A field of `saga`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SagaField {
    Id,
    Name,
    Version,
    Key,
    Reason,
    ReasonCode,
}

/// One step of a path.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    Field(FieldDescriptor),
    /// The key of an entry of a map, or of a `google.protobuf.Struct`.
    Key(String),
}

/// A root and what is selected on it.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) segments: Vec<Segment>,
}

/// The value that a path selects.
#[derive(Debug)]
pub(super) struct Selected<'m> {
    /// The value, or the default of a field that is not set.
    pub(super) value: Cow<'m, Value>,
    /// False where the value, or a message that it would be in, has presence and is not set.
    pub(super) present: bool,
}

impl Path {
    /// Follows the path from its root.
    pub(super) fn follow<'m>(&self, root: Selected<'m>) -> Result<Selected<'m>, UnlocatedError> {
        let mut found = root;
        for segment in &self.segments {
            let is_parent_present = found.present;
            found = match found.value {
                Cow::Borrowed(value) => segment.select(value)?,
                Cow::Owned(value) => {
                    let Selected { value, present } = segment.select(&value)?;
                    Selected { value: Cow::Owned(value.into_owned()), present }
                }
            };
            found.present &= is_parent_present;
        }
        Ok(found)
    }

    /// Whether what the path leads to may be absent, or the null of JSON.
    pub(super) fn may_be_absent(&self) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Field(field) => field.supports_presence(),
            Segment::Key(_) => true,
        })
    }

    /// Whether the last segment of the path is there, as `has()` asks: a field without presence is
    /// there when it is not its default.
    pub(super) fn is_set(&self, root: Selected<'_>) -> Result<bool, UnlocatedError> {
        let Some((last, before)) = self.segments.split_last() else { return Ok(true) };
        let parent = Path { root: self.root, segments: before.to_vec() }.follow(root)?;
        match last {
            Segment::Field(field) => {
                Ok(parent.value.as_message().is_some_and(|message| message.has_field(field)))
            }
            Segment::Key(key) => Ok(entry(&parent.value, key)?.is_some()),
        }
    }
}

impl Segment {
    fn select<'m>(&self, value: &'m Value) -> Result<Selected<'m>, UnlocatedError> {
        match self {
            Segment::Field(field) => {
                let message = value.as_message().ok_or_else(|| not_a_message(field.name()))?;
                let present = !field.supports_presence() || message.has_field(field);
                Ok(Selected { value: message.get_field(field), present })
            }
            Segment::Key(key) => {
                let missing =
                    || UnlocatedError::new(ErrorKind::MissingKey, format!("no key `{key}`"));
                let value = Cow::Borrowed(entry(value, key)?.ok_or_else(missing)?);
                Ok(Selected { value, present: true })
            }
        }
    }
}

fn not_a_message(field: &str) -> UnlocatedError {
    UnlocatedError::new(ErrorKind::Type, format!("`{field}` is asked of something without fields"))
}

/// The entry of a map, of a `Struct`, or of a `Value` that holds a `Struct`.
fn entry<'m>(value: &'m Value, key: &str) -> Result<Option<&'m Value>, UnlocatedError> {
    if let Some(map) = value.as_map() {
        return Ok(map.get(&MapKey::String(key.to_owned())));
    }
    let message = value.as_message().ok_or_else(|| not_a_message(key))?;
    match WellKnown::of(&message.descriptor()) {
        Some(WellKnown::Struct) => match field(message, "fields") {
            Some(fields) => entry(fields, key),
            None => Ok(None),
        },
        Some(WellKnown::Value) => match field(message, "struct_value") {
            Some(inner) => entry(inner, key),
            None => Err(not_a_message(key)),
        },
        _ => Err(not_a_message(key)),
    }
}

/// A field that is set, by name.
pub(super) fn field<'m>(message: &'m DynamicMessage, name: &str) -> Option<&'m Value> {
    match message.has_field_by_name(name).then(|| message.get_field_by_name(name))?? {
        Cow::Borrowed(value) => Some(value),
        Cow::Owned(_) => None,
    }
}
