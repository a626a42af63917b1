//! Where a step puts a value of the input.

use prost_reflect::{FieldDescriptor, Kind, Value};
use proto::shown::is_secret_field;

use super::used::{ANY, OBJECT};
use crate::assign::{self, Item};
use crate::error::UnlocatedError;
use crate::types::{WellKnown, wrapped};

/// Where a value is put.
#[derive(Debug, Clone)]
pub(super) enum Place {
    Field(FieldDescriptor),
    /// An item of a list, or the value of an entry of a map.
    Item(Kind),
    /// A message as a whole, or a condition.
    Whole(Kind),
}

impl Place {
    /// By the names of a `.proto`.
    pub(super) fn kind(&self) -> String {
        match self {
            Place::Field(field) if field.is_map() => match field.kind() {
                Kind::Message(entry) => {
                    let key = kind_name(&entry.map_entry_key_field().kind());
                    let value = kind_name(&entry.map_entry_value_field().kind());
                    format!("{{{key}: {value}}}")
                }
                kind => kind_name(&kind),
            },
            Place::Field(field) if field.is_list() => format!("[{}]", kind_name(&field.kind())),
            Place::Field(field) => kind_name(&field.kind()),
            Place::Item(kind) | Place::Whole(kind) => kind_name(kind),
        }
    }

    /// Whether people are not shown what is put there.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Place::Field(field) if is_secret_field(field))
    }

    /// Puts the value there, as a step would.
    pub(super) fn try_put(&self, value: &Value) -> Result<(), UnlocatedError> {
        match self {
            Place::Field(field) => assign::copy_to_field(value, field).map(|_| ()),
            Place::Item(kind) => match assign::copy_to_item(value, kind)? {
                Item::Null => Err(assign::null_inside("list or map")),
                Item::Value(_) | Item::Absent => Ok(()),
            },
            Place::Whole(kind) => assign::copy_to_item(value, kind).map(|_| ()),
        }
    }
}

/// A kind by its name in a `.proto`, a well-known message by what its JSON is.
fn kind_name(kind: &Kind) -> String {
    let Kind::Message(message) = kind else {
        return match kind {
            Kind::Enum(of) => of.full_name().to_owned(),
            scalar => format!("{scalar:?}").to_lowercase(),
        };
    };
    match WellKnown::of(message) {
        Some(WellKnown::Wrapper) => {
            wrapped(message).map_or_else(|| ANY.to_owned(), |field| kind_name(&field.kind()))
        }
        Some(WellKnown::Struct) => OBJECT.to_owned(),
        Some(WellKnown::Value) => ANY.to_owned(),
        Some(WellKnown::List) => "[any]".to_owned(),
        Some(WellKnown::Written) => message.name().to_owned(),
        Some(WellKnown::Any) | None => message.full_name().to_owned(),
    }
}
