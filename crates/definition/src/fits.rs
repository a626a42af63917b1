//! Whether a value of a type may be put into a field, judged before any value exists.
//!
//! What this accepts, `assign` carries out, short of numbers out of range and texts that name
//! nothing. Ints and uints may be exchanged: the range is checked when the value is known.

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

use super::packed::TYPE_KEY;
use super::problem::did_you_mean;
use super::types::{Type, WellKnown, wrapped};

/// What is wrong and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldMismatch {
    pub(super) what: String,
    pub(super) cure: String,
}

impl FieldMismatch {
    fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

/// Whether a value of type `given` may be put into `field`.
pub(super) fn field(given: &Type, field: &FieldDescriptor) -> Result<(), FieldMismatch> {
    // Null leaves a field out.
    if given.is_open() || (*given == Type::Null && !field.is_required()) {
        return Ok(());
    }
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let Type::Map(key, value) = given.operand() else { return Err(wants(given, field)) };
        let fits = kind(&key, &entry.map_entry_key_field().kind()).is_ok();
        let value_field = entry.map_entry_value_field();
        // A record knows the types of its values one by one, its map type only their union.
        let values: Vec<Type> = match given {
            Type::Record(fields) => fields.iter().map(|(_, value)| value.clone()).collect(),
            _ => vec![*value],
        };
        for value in &values {
            item(value, field, &value_field.kind())?;
        }
        return if fits { Ok(()) } else { Err(wants(given, field)) };
    }
    if !field.is_list() {
        return match kind(given, &field.kind()) {
            Err(mismatch) if mismatch.what.is_empty() => Err(wants(given, field)),
            result => result,
        };
    }
    match given.operand() {
        Type::List(inner) => match one_of(&inner, &field.kind()) {
            Err(mismatch) if mismatch.what.is_empty() => Err(wants(given, field)),
            result => result,
        },
        _ => Err(wants(given, field)),
    }
}

/// Whether a value of type `given` is a whole message of this type.
pub(super) fn message(given: &Type, wanted: &MessageDescriptor) -> Result<(), FieldMismatch> {
    if given.is_open() {
        return Ok(());
    }
    let plain = || {
        let what = format!("this wants {}, got {given}", wanted.full_name());
        FieldMismatch::new(what, format!("name its fields: {}", field_names(wanted)))
    };
    match kind(given, &Kind::Message(wanted.clone())) {
        Err(mismatch) if mismatch.what.is_empty() => Err(plain()),
        result => result,
    }
}

/// Whether a value of type `given` may be an item of `field`, or its value in a map.
pub(super) fn item(
    given: &Type,
    field: &FieldDescriptor,
    wanted: &Kind,
) -> Result<(), FieldMismatch> {
    match one_of(given, wanted) {
        Err(mismatch) if mismatch.what.is_empty() => {
            let wanted = Type::of_kind(wanted);
            let what = format!("an item of `{}` wants {wanted}, got {given}", field.name());
            Err(FieldMismatch::new(what, format!("give it a value of type {wanted}")))
        }
        result => result,
    }
}

/// As [`kind`], but an item cannot be left out, so null is none unless it is JSON.
fn one_of(given: &Type, wanted: &Kind) -> Result<(), FieldMismatch> {
    let json = matches!(wanted, Kind::Message(of) if WellKnown::of(of) == Some(WellKnown::Value));
    if *given == Type::Null && !json {
        return Err(FieldMismatch::new("", ""));
    }
    kind(given, wanted)
}

/// The problem of a name that an enum does not have.
pub(super) fn no_value(name: &str, of: &EnumDescriptor) -> FieldMismatch {
    let values: Vec<EnumValueDescriptor> = of.values().collect();
    let names = values.iter().map(EnumValueDescriptor::name);
    let cure = did_you_mean(name, names, "see the enum's .proto");
    FieldMismatch::new(format!("no value `{name}` in {}", of.full_name()), cure)
}

/// An empty `what` means: simply not that kind.
fn kind(given: &Type, wanted: &Kind) -> Result<(), FieldMismatch> {
    let unfit = || Err(FieldMismatch::new("", ""));
    if given.is_open() {
        return Ok(());
    }
    let operand = given.operand();
    let fits = match wanted {
        Kind::Message(wanted) => return whole(given, wanted),
        Kind::Enum(wanted) => match given {
            Type::Enum(given) if given.full_name() != wanted.full_name() => {
                let what = format!("wants {}, got {}", wanted.full_name(), given.full_name());
                return Err(FieldMismatch::new(what, "wrap it in int(…) if the numbers agree"));
            }
            _ => matches!(operand, Type::Int | Type::Uint | Type::String),
        },
        Kind::Bool => operand == Type::Bool,
        Kind::String => operand == Type::String,
        Kind::Bytes => operand == Type::Bytes,
        Kind::Double | Kind::Float => operand == Type::Double,
        _ => matches!(operand, Type::Int | Type::Uint),
    };
    if fits { Ok(()) } else { unfit() }
}

fn whole(given: &Type, wanted: &MessageDescriptor) -> Result<(), FieldMismatch> {
    let unfit = || Err(FieldMismatch::new("", ""));
    match given {
        Type::Null => return Ok(()),
        Type::Message(given) if given.full_name() == wanted.full_name() => return Ok(()),
        _ => {}
    }
    let operand = given.operand();
    let fits = match WellKnown::of(wanted) {
        Some(WellKnown::Wrapper) => {
            wrapped(wanted).is_some_and(|field| kind(given, &field.kind()).is_ok())
        }
        Some(WellKnown::Value) => operand.is_json(),
        Some(WellKnown::Struct) => matches!(operand, Type::Map(..)) && operand.is_json(),
        Some(WellKnown::List) => matches!(operand, Type::List(_)) && operand.is_json(),
        Some(WellKnown::Written) if operand == Type::String => true,
        Some(WellKnown::Any) => match given {
            Type::Message(_) => true,
            Type::Record(fields) if fields.iter().any(|(name, _)| name == TYPE_KEY) => true,
            Type::Record(fields) => return record(fields, wanted),
            _ => false,
        },
        Some(WellKnown::Written) | None => match given {
            Type::Record(fields) => return record(fields, wanted),
            _ => false,
        },
    };
    if fits { Ok(()) } else { unfit() }
}

fn record(fields: &[(String, Type)], wanted: &MessageDescriptor) -> Result<(), FieldMismatch> {
    for (name, value) in fields {
        match wanted.get_field_by_name(name) {
            Some(descriptor) => field(value, &descriptor)?,
            None => return Err(no_field(name, wanted)),
        }
    }
    Ok(())
}

/// The problem of a field that a message does not have.
pub(super) fn no_field(name: &str, message: &MessageDescriptor) -> FieldMismatch {
    let fields: Vec<FieldDescriptor> = message.fields().collect();
    let otherwise = match fields.len() {
        0 => "it has no fields at all".to_owned(),
        _ => format!("it has {}", field_names(message)),
    };
    let cure = did_you_mean(name, fields.iter().map(FieldDescriptor::name), &otherwise);
    FieldMismatch::new(format!("no field `{name}` in {}", message.full_name()), cure)
}

fn field_names(message: &MessageDescriptor) -> String {
    const MAX_LISTED_FIELDS: usize = 12;
    let mut names: Vec<String> =
        message.fields().map(|field| format!("`{}`", field.name())).collect();
    if names.len() > MAX_LISTED_FIELDS {
        names.truncate(MAX_LISTED_FIELDS);
        names.push("…".to_owned());
    }
    names.join(", ")
}

fn wants(given: &Type, field: &FieldDescriptor) -> FieldMismatch {
    let wanted = Type::of_field(field);
    let given_operand = given.operand();
    let what = format!("`{}` wants {}, got {given}", field.name(), wanted);
    let cure = match (&given_operand, wanted.operand()) {
        (Type::Int | Type::Uint, Type::Double) => "convert it: double(…)".to_owned(),
        (Type::Double, Type::Int) => "convert it: int(…)".to_owned(),
        (Type::Double, Type::Uint) => "convert it: uint(…)".to_owned(),
        (Type::Int | Type::Uint | Type::Double | Type::Bool | Type::Bytes, Type::String) => {
            "convert it: string(…)".to_owned()
        }
        (Type::String, Type::Bytes) => "convert it: bytes(…)".to_owned(),
        (Type::String, Type::Int | Type::Uint | Type::Double | Type::Bool) => {
            format!("convert it: {}(…)", wanted.operand())
        }
        (one, Type::List(item)) if *one == item.operand() => "put it in a list: [ … ]".to_owned(),
        (_, Type::Message(message)) => format!("name its fields: {}", field_names(&message)),
        _ => format!("give it a value of type {wanted}"),
    };
    FieldMismatch::new(what, cure)
}
