//! Turning the value of an expression into the value of a message's field.
//!
//! Whatever was widened on the way in is checked on the way out: numbers by range, enums by name
//! or number. Nothing is rounded, cut or wrapped.

use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

use super::error::{ErrorKind, UnlocatedError};
use super::types::{Type, WellKnown, wrapped};
use super::value::{self, in_pool_of, to_cel};

type Assigned = Result<Option<Value>, UnlocatedError>;

/// The field's value, or `None` where it is to stay unset.
pub(super) fn to_field(val: &dyn Val, field: &FieldDescriptor) -> Assigned {
    if field.is_map()
        && let Kind::Message(entry) = field.kind()
    {
        let map = val.downcast_ref::<CelMap>().ok_or_else(|| wrong(val, "a map"))?;
        let (key_kind, value_field) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field());
        let mut entries = std::collections::HashMap::new();
        for (key, value) in map.inner() {
            let key = map_key(key, &key_kind)?;
            let value = to_kind(value.as_ref(), &value_field.kind())?;
            entries.insert(key, value.ok_or_else(|| null_inside("map"))?);
        }
        return Ok(Some(Value::Map(entries)));
    }
    if !field.is_list() {
        return to_kind(val, &field.kind());
    }
    let list = val.downcast_ref::<CelList>().ok_or_else(|| wrong(val, "a list"))?;
    let items = list
        .inner()
        .iter()
        .map(|item| to_kind(item.as_ref(), &field.kind())?.ok_or_else(|| null_inside("list")));
    Ok(Some(Value::List(items.collect::<Result<_, _>>()?)))
}

/// A value that was found by a plain path; copied as it is where the types are the same.
pub(super) fn copy_to_field(value: &Value, field: &FieldDescriptor) -> Assigned {
    if !field.is_map() {
        match (value, field.kind()) {
            (Value::List(items), kind) if field.is_list() => {
                let copies: Option<Vec<Value>> =
                    items.iter().map(|item| copied(item, &kind)).collect();
                if let Some(copies) = copies {
                    return Ok(Some(Value::List(copies)));
                }
            }
            (single, kind) if !field.is_list() => {
                if let Some(copy) = copied(single, &kind) {
                    return Ok(Some(copy));
                }
            }
            _ => {}
        }
    }
    to_field(to_cel(value).as_ref(), field)
}

/// Does the same as [`copy_to_field`] for an item of a list or of a map.
pub(super) fn copy_to_item(value: &Value, kind: &Kind) -> Assigned {
    match copied(value, kind) {
        Some(copy) => Ok(Some(copy)),
        None => to_kind(to_cel(value).as_ref(), kind),
    }
}

fn copied(value: &Value, kind: &Kind) -> Option<Value> {
    match (value, kind) {
        (Value::Message(message), Kind::Message(wanted)) => {
            let given = message.descriptor();
            if given == *wanted {
                return Some(value.clone());
            }
            let same_name = given.full_name() == wanted.full_name();
            same_name.then(|| in_pool_of(message, wanted).ok().map(Value::Message))?
        }
        (Value::Message(_) | Value::List(_) | Value::Map(_), _) => None,
        (scalar, kind) => scalar.is_valid(kind).then(|| scalar.clone()),
    }
}

/// A message built from a map by the names of its fields.
pub(super) fn to_message(
    val: &dyn Val,
    wanted: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, UnlocatedError> {
    if val.downcast_ref::<CelNull>().is_some() && WellKnown::of(wanted) != Some(WellKnown::Value) {
        return Ok(None);
    }
    if let Some(value::Message(message)) = val.downcast_ref::<value::Message>() {
        return same_message(message, wanted).map(Some);
    }
    match WellKnown::of(wanted) {
        Some(WellKnown::Wrapper) => {
            let Some(field) = wrapped(wanted) else { return Ok(None) };
            build(wanted, [(field.clone(), to_kind(val, &field.kind())?)]).map(Some)
        }
        Some(WellKnown::Value) => json_value(val, wanted).map(Some),
        Some(WellKnown::Struct) => single(val, wanted, "fields"),
        Some(WellKnown::List) => single(val, wanted, "values"),
        Some(WellKnown::Time) if val.downcast_ref::<CelString>().is_some() => {
            let text = val.downcast_ref::<CelString>().map_or("", CelString::inner);
            time(text, wanted).map(Some)
        }
        Some(WellKnown::Time) | None => from_map(val, wanted).map(Some),
    }
}

fn same_message(
    message: &DynamicMessage,
    wanted: &MessageDescriptor,
) -> Result<DynamicMessage, UnlocatedError> {
    let given = message.descriptor();
    if given == *wanted {
        return Ok(message.clone());
    }
    if given.full_name() != wanted.full_name() {
        let what = format!("a {} where a {} belongs", given.full_name(), wanted.full_name());
        return Err(UnlocatedError::new(ErrorKind::Type, what));
    }
    in_pool_of(message, wanted)
        .map_err(|error| UnlocatedError::new(ErrorKind::Bytes, error.to_string()))
}

fn from_map(val: &dyn Val, wanted: &MessageDescriptor) -> Result<DynamicMessage, UnlocatedError> {
    let map = val.downcast_ref::<CelMap>().ok_or_else(|| wrong(val, wanted.full_name()))?;
    let mut message = DynamicMessage::new(wanted.clone());
    for (key, value) in map.inner() {
        let name = key.inner().downcast_ref::<CelString>().map_or("", CelString::inner);
        let field = wanted.get_field_by_name(name).ok_or_else(|| {
            let what = format!("no field `{name}` in {}", wanted.full_name());
            UnlocatedError::new(ErrorKind::Type, what)
        })?;
        if let Some(value) = to_field(value.as_ref(), &field)? {
            set(&mut message, &field, value)?;
        }
    }
    Ok(message)
}

/// Sets a field, with an error where the evaluator and the descriptors disagree.
pub(super) fn set(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    value: Value,
) -> Result<(), UnlocatedError> {
    let set = message.try_set_field(field, value);
    set.map_err(|error| UnlocatedError::new(ErrorKind::Type, error.to_string()))
}

fn build<const N: usize>(
    wanted: &MessageDescriptor,
    fields: [(FieldDescriptor, Option<Value>); N],
) -> Result<DynamicMessage, UnlocatedError> {
    let mut message = DynamicMessage::new(wanted.clone());
    for (field, value) in fields {
        if let Some(value) = value {
            set(&mut message, &field, value)?;
        }
    }
    Ok(message)
}

fn single(
    val: &dyn Val,
    wanted: &MessageDescriptor,
    field: &str,
) -> Result<Option<DynamicMessage>, UnlocatedError> {
    let Some(field) = wanted.get_field_by_name(field) else { return Ok(None) };
    build(wanted, [(field.clone(), to_field(val, &field)?)]).map(Some)
}

/// `google.protobuf.Value`; its numbers are doubles, so an int that a double cannot hold is refused.
fn json_value(val: &dyn Val, wanted: &MessageDescriptor) -> Result<DynamicMessage, UnlocatedError> {
    let kind = if val.downcast_ref::<CelNull>().is_some() {
        let field = wanted.get_field_by_name("null_value");
        return match field {
            Some(field) => build(wanted, [(field, Some(Value::EnumNumber(0)))]),
            None => Ok(DynamicMessage::new(wanted.clone())),
        };
    } else if val.downcast_ref::<CelBool>().is_some() {
        "bool_value"
    } else if val.downcast_ref::<CelString>().is_some() {
        "string_value"
    } else if val.downcast_ref::<CelList>().is_some() {
        "list_value"
    } else if val.downcast_ref::<CelMap>().is_some() {
        "struct_value"
    } else if number(val).is_some() || val.downcast_ref::<CelDouble>().is_some() {
        "number_value"
    } else {
        return Err(wrong(val, "JSON"));
    };
    let message = DynamicMessage::new(wanted.clone());
    let Some(field) = wanted.get_field_by_name(kind) else { return Ok(message) };
    build(wanted, [(field.clone(), to_kind(val, &field.kind())?)])
}

/// A timestamp or duration in the form of proto3 JSON: `2026-01-31T12:00:00Z`, `1.5s`.
pub(super) fn time(
    text: &str,
    wanted: &MessageDescriptor,
) -> Result<DynamicMessage, UnlocatedError> {
    let json = serde_json::Value::String(text.to_owned());
    DynamicMessage::deserialize(wanted.clone(), json).map_err(|_| {
        let example = match wanted.name() {
            "Timestamp" => "2026-01-31T12:00:00Z",
            _ => "1.5s",
        };
        let what = format!("`{text}` is no {}, such as `{example}`", wanted.name());
        UnlocatedError::new(ErrorKind::Conversion, what)
    })
}

/// The value of a single field, or of an item of a list or map.
pub(super) fn to_kind(val: &dyn Val, kind: &Kind) -> Assigned {
    let value = match kind {
        Kind::Message(wanted) => return Ok(to_message(val, wanted)?.map(Value::Message)),
        _ if val.downcast_ref::<CelNull>().is_some() => return Ok(None),
        Kind::Bool => val.downcast_ref::<CelBool>().map(|value| Value::Bool(*value.inner())),
        Kind::String => {
            val.downcast_ref::<CelString>().map(|value| Value::String(value.inner().to_owned()))
        }
        Kind::Bytes => val
            .downcast_ref::<CelBytes>()
            .map(|value| Value::Bytes(bytes::Bytes::copy_from_slice(value.inner()))),
        Kind::Double => float(val)?.map(Value::F64),
        Kind::Float => match float(val)? {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float field rounds; it is refused below when it overflows"
            )]
            Some(double) => {
                let single = double as f32;
                if single.is_infinite() && double.is_finite() {
                    return Err(out_of_range(format_args!("{double:?}"), "float"));
                }
                Some(Value::F32(single))
            }
            None => None,
        },
        Kind::Enum(descriptor) => match val.downcast_ref::<CelString>() {
            Some(name) => {
                let found = descriptor.get_value_by_name(name.inner());
                let what = || format!("no value `{}` in {}", name.inner(), descriptor.full_name());
                let found =
                    found.ok_or_else(|| UnlocatedError::new(ErrorKind::Conversion, what()))?;
                Some(Value::EnumNumber(found.number()))
            }
            None => narrow(val, descriptor.full_name())?.map(Value::EnumNumber),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => narrow(val, "int32")?.map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => narrow(val, "int64")?.map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => narrow(val, "uint32")?.map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => narrow(val, "uint64")?.map(Value::U64),
    };
    value.map(Some).ok_or_else(|| wrong(val, &Type::of_kind(kind).to_string()))
}

fn map_key(key: &CelMapKey<'_>, kind: &Kind) -> Result<MapKey, UnlocatedError> {
    let value = to_kind(key.inner(), kind)?;
    value.and_then(Value::into_map_key).ok_or_else(|| wrong(key.inner(), "a map key"))
}

/// The whole number that a value is, if it is one. A JSON number is a double, so `5.0` counts.
fn number(val: &dyn Val) -> Option<i128> {
    const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;
    if let Some(int) = val.downcast_ref::<CelInt>() {
        return Some(i128::from(*int.inner()));
    }
    if let Some(uint) = val.downcast_ref::<CelUInt>() {
        return Some(i128::from(*uint.inner()));
    }
    let double = *val.downcast_ref::<CelDouble>()?.inner();
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
    (double.fract() == 0.0 && double.abs() <= MAX_EXACT_INTEGER).then_some(double as i128)
}

fn narrow<T: TryFrom<i128>>(val: &dyn Val, to: &str) -> Result<Option<T>, UnlocatedError> {
    match (number(val), val.downcast_ref::<CelDouble>()) {
        (Some(number), _) => T::try_from(number).map(Some).map_err(|_| out_of_range(number, to)),
        (None, Some(double)) => Err(out_of_range(format_args!("{:?}", double.inner()), to)),
        (None, None) => Ok(None),
    }
}

fn float(val: &dyn Val) -> Result<Option<f64>, UnlocatedError> {
    if let Some(double) = val.downcast_ref::<CelDouble>() {
        return Ok(Some(*double.inner()));
    }
    let Some(number) = number(val) else { return Ok(None) };
    #[expect(clippy::cast_precision_loss, reason = "compared with the number right after")]
    let double = number as f64;
    #[expect(clippy::cast_possible_truncation, reason = "only to see whether something was lost")]
    if double as i128 == number { Ok(Some(double)) } else { Err(out_of_range(number, "double")) }
}

fn out_of_range(number: impl std::fmt::Display, to: &str) -> UnlocatedError {
    UnlocatedError::new(ErrorKind::Arithmetic, format!("{number} does not fit into {to}"))
}

fn null_inside(collection: &str) -> UnlocatedError {
    UnlocatedError::new(ErrorKind::Type, format!("null inside a {collection}"))
}

fn wrong(val: &dyn Val, wanted: &str) -> UnlocatedError {
    let what = format!("a {} where {wanted} belongs", val.get_type().name());
    UnlocatedError::new(ErrorKind::Type, what)
}
