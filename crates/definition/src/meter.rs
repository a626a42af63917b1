//! What an evaluation may take: a saga's own values decide how much there is to do, so it is counted as it is done.
//!
//! A step is a part of an expression that is evaluated, or a value that is decoded, copied or compared. Bytes are those
//! of texts. Both are counted before the work is done, so no single function goes far beyond what is left.

use std::cell::Cell;

use cel::common::types::{CelBytes, CelList, CelMap, CelString};
use cel::common::value::Val;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::error::{ErrorKind, UnlocatedError};
use super::packed;
use super::types::WellKnown;
use super::value::{Message, or_default};

/// Steps that the expressions over one saga's facts may take in all: some ten milliseconds.
pub const MAX_STEPS: u64 = 250_000;
/// Bytes of texts that they may make, copy and look through.
pub const MAX_BYTES: u64 = 16 << 20;

/// How much something takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) steps: u64,
    pub(super) bytes: u64,
}

impl Cost {
    pub(super) fn steps(steps: usize) -> Self {
        Self { steps: steps as u64, bytes: 0 }
    }

    pub(super) fn bytes(bytes: usize) -> Self {
        Self { steps: 0, bytes: bytes as u64 }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            steps: self.steps.saturating_add(other.steps),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// What is left.
#[derive(Debug)]
pub(super) struct Meter {
    steps: Cell<u64>,
    bytes: Cell<u64>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { steps: Cell::new(MAX_STEPS), bytes: Cell::new(MAX_BYTES) }
    }

    /// Takes what something costs, before it is done. Once something was refused, everything is.
    pub(super) fn charge(&self, cost: Cost) -> Result<(), UnlocatedError> {
        match (self.steps.get().checked_sub(cost.steps), self.bytes.get().checked_sub(cost.bytes)) {
            (Some(steps), Some(bytes)) => {
                self.steps.set(steps);
                self.bytes.set(bytes);
                Ok(())
            }
            (None, _) => {
                self.steps.set(0);
                Err(spent(format_args!("{MAX_STEPS} steps")))
            }
            (_, None) => {
                self.bytes.set(0);
                Err(spent(format_args!("{MAX_BYTES} bytes of texts")))
            }
        }
    }

    /// How much has been taken, in thousandths of what may be.
    pub(super) fn used(&self) -> u64 {
        let share = |left: u64, all: u64| (all - left) * 1_000 / all;
        share(self.steps.get(), MAX_STEPS).max(share(self.bytes.get(), MAX_BYTES))
    }
}

fn spent(limit: std::fmt::Arguments<'_>) -> UnlocatedError {
    let what = format!(
        "this takes more than {limit}: have less in the message, or let the participant compute it"
    );
    UnlocatedError::new(ErrorKind::Budget, what)
}

/// What it takes to copy a value of an expression, or to look through all of it.
pub(super) fn of_val(val: &dyn Val) -> Cost {
    let val = or_default(val);
    if let Some(text) = val.downcast_ref::<CelString>() {
        Cost::bytes(text.inner().len())
    } else if let Some(bytes) = val.downcast_ref::<CelBytes>() {
        Cost::bytes(bytes.inner().len())
    } else if let Some(list) = val.downcast_ref::<CelList>() {
        let items = list.inner().iter().map(|item| of_val(item.as_ref()));
        items.fold(Cost::steps(list.inner().len()), Cost::and)
    } else if let Some(map) = val.downcast_ref::<CelMap>() {
        let entries = map.inner().iter();
        let entries = entries.map(|(key, value)| of_val(key.inner()).and(of_val(value.as_ref())));
        entries.fold(Cost::steps(map.inner().len()), Cost::and)
    } else if let Some(Message(message)) = val.downcast_ref::<Message>() {
        of_message(message)
    } else {
        Cost::default()
    }
}

/// As [`of_val`], for a value of protobuf.
pub(super) fn of_value(value: &Value) -> Cost {
    match value {
        Value::String(text) => Cost::bytes(text.len()),
        Value::Bytes(bytes) => Cost::bytes(bytes.len()),
        Value::Message(message) => of_message(message),
        Value::List(items) => items.iter().map(of_value).fold(Cost::steps(items.len()), Cost::and),
        Value::Map(entries) => {
            let key = |key: &prost_reflect::MapKey| Cost::bytes(key.as_str().map_or(0, str::len));
            let costs = entries.iter().map(|(name, value)| key(name).and(of_value(value)));
            costs.fold(Cost::steps(entries.len()), Cost::and)
        }
        _ => Cost::default(),
    }
}

fn of_message(message: &DynamicMessage) -> Cost {
    let fields = message.fields().map(|(_, value)| Cost::steps(1).and(of_value(value)));
    let unknown = message.unknown_fields().map(|_| Cost::steps(1));
    let all = fields.chain(unknown).fold(Cost::steps(1), Cost::and);
    match WellKnown::of(&message.descriptor()) {
        Some(WellKnown::Any) => all.and(packed::cost(message)),
        _ => all,
    }
}
