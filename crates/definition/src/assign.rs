//! Turning the value of an expression into the value of a message's field.
//!
//! Null leaves a field out, as in proto3 JSON; in a list or a map it is refused. What is absent leaves out a field that
//! has presence, and an entry of a map; a field without presence and an item of a list get its default.

use std::collections::HashMap;

use cel::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::Val;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};

use super::error::{ErrorKind, UnlocatedError};
use super::evaluate::wrong;
use super::json::InputError;
use super::packed;
use super::scalar;
use super::types::{Type, WellKnown, wrapped};
use super::value::{self, in_pool_of, is_absent, or_default, to_cel};

type Assigned = Result<Option<Value>, UnlocatedError>;

/// The field's value, or `None` where it is to stay unset.
pub(super) fn to_field(val: &dyn Val, field: &FieldDescriptor) -> Assigned {
    if is_absent(val) && field.supports_presence() {
        return Ok(None);
    }
    match field.kind() {
        Kind::Message(entry) if field.is_map() => to_map(or_default(val), &entry),
        kind if field.is_list() => to_list(or_default(val), &kind),
        kind => to_kind(val, &kind),
    }
}

fn to_map(val: &dyn Val, entry: &MessageDescriptor) -> Assigned {
    if is_null(val) {
        return Ok(None);
    }
    let map = val.downcast_ref::<CelMap>().ok_or_else(|| wrong(val, "a map"))?;
    let (key_kind, value_kind) =
        (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
    let mut entries = HashMap::new();
    for (key, value) in map.inner().iter().filter(|(_, value)| !is_absent(value.as_ref())) {
        let key = map_key(key, &key_kind)?;
        let inside = |error: UnlocatedError| error.inside(&format!("[{}]", told(&key)));
        let value = to_kind(value.as_ref(), &value_kind).map_err(inside)?;
        let value = value.ok_or_else(|| inside(null_inside("map")))?;
        if entries.contains_key(&key) {
            let what = format!("the key `{}` is given twice", told(&key));
            return Err(UnlocatedError::new(ErrorKind::Conversion, what));
        }
        entries.insert(key, value);
    }
    Ok(Some(Value::Map(entries)))
}

fn to_list(val: &dyn Val, kind: &Kind) -> Assigned {
    if is_null(val) {
        return Ok(None);
    }
    let list = val.downcast_ref::<CelList>().ok_or_else(|| wrong(val, "a list"))?;
    let items = list.inner().iter().enumerate().map(|(index, item)| {
        let item = to_kind(item.as_ref(), kind);
        let item = item.and_then(|item| item.ok_or_else(|| null_inside("list")));
        item.map_err(|error| error.inside(&format!("[{index}]")))
    });
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

/// What an item of a list, or the value of an entry of a map, is built from.
pub(super) enum Item {
    Value(Value),
    Absent,
    Null,
}

/// An item that an expression came to.
pub(super) fn to_item(val: &dyn Val, kind: &Kind) -> Result<Item, UnlocatedError> {
    if is_absent(val) {
        return Ok(Item::Absent);
    }
    Ok(to_kind(val, kind)?.map_or(Item::Null, Item::Value))
}

/// Does the same as [`copy_to_field`] for an item of a list or of a map.
pub(super) fn copy_to_item(value: &Value, kind: &Kind) -> Result<Item, UnlocatedError> {
    match copied(value, kind) {
        Some(copy) => Ok(Item::Value(copy)),
        None => to_item(to_cel(value).as_ref(), kind),
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

/// The message that is written as this JSON, by the rules of proto3 JSON.
///
/// # Errors
/// Where a member fits no field, with its place.
pub(super) fn message_from_json(
    json: DynamicMessage,
    wanted: &MessageDescriptor,
) -> Result<DynamicMessage, InputError> {
    let built = to_message(to_cel(&Value::Message(json)).as_ref(), wanted);
    let built = built.map_err(|UnlocatedError { path, what, .. }| InputError { path, what })?;
    Ok(built.unwrap_or_else(|| DynamicMessage::new(wanted.clone())))
}

/// A message built from a map by the names of its fields.
pub(super) fn to_message(
    val: &dyn Val,
    wanted: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, UnlocatedError> {
    if is_null(val) && WellKnown::of(wanted) != Some(WellKnown::Value) {
        return Ok(None);
    }
    if let Some(value::Message(message)) = val.downcast_ref::<value::Message>() {
        return match WellKnown::of(wanted) {
            Some(WellKnown::Any) if message.descriptor().full_name() != wanted.full_name() => {
                Ok(Some(packed::pack_as_usual(message.clone(), wanted)))
            }
            _ => same_message(message, wanted).map(Some),
        };
    }
    match WellKnown::of(wanted) {
        Some(WellKnown::Wrapper) => {
            let Some(field) = wrapped(wanted) else { return Ok(None) };
            build(wanted, [(field.clone(), to_kind(val, &field.kind())?)]).map(Some)
        }
        Some(WellKnown::Value) => json_value(val, wanted).map(Some),
        Some(WellKnown::Struct) => single(val, wanted, "fields"),
        Some(WellKnown::List) => single(val, wanted, "values"),
        Some(WellKnown::Written) if val.downcast_ref::<CelString>().is_some() => {
            let text = val.downcast_ref::<CelString>().map_or("", CelString::inner);
            scalar::written(text, wanted).map(Some)
        }
        Some(WellKnown::Any) => to_any(val, wanted).map(Some),
        Some(WellKnown::Written) | None => from_map(val, wanted).map(Some),
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

/// An `Any` of a map: of its fields, or of `@type` and those of the message that is packed; of `value` where that message is
/// seen as a plain value.
fn to_any(val: &dyn Val, wanted: &MessageDescriptor) -> Result<DynamicMessage, UnlocatedError> {
    let map = val.downcast_ref::<CelMap>().ok_or_else(|| wrong(val, wanted.full_name()))?;
    let Some((written, of)) = packed::named(map, wanted)? else { return from_map(val, wanted) };
    let content = match WellKnown::of(&of) {
        None => from_entries(map, &of, Some(packed::TYPE_KEY))?,
        Some(_) => {
            let value =
                map.inner().iter().find(|(key, _)| packed::key_name(key.inner()) == "value");
            let value = value.map(|(_, value)| to_message(value.as_ref(), &of)).transpose()?;
            value.flatten().unwrap_or_else(|| DynamicMessage::new(of.clone()))
        }
    };
    Ok(packed::pack(content, &packed::type_url(written), wanted))
}

/// Fields may have their names of the .proto or of proto3 JSON, and extensions theirs in brackets.
fn from_map(val: &dyn Val, wanted: &MessageDescriptor) -> Result<DynamicMessage, UnlocatedError> {
    let map = val.downcast_ref::<CelMap>().ok_or_else(|| wrong(val, wanted.full_name()))?;
    from_entries(map, wanted, None)
}

fn from_entries(
    map: &CelMap<'_>,
    wanted: &MessageDescriptor,
    without: Option<&str>,
) -> Result<DynamicMessage, UnlocatedError> {
    let mut message = DynamicMessage::new(wanted.clone());
    let mut given: Vec<u32> = Vec::new();
    for (key, value) in map.inner() {
        let name = packed::key_name(key.inner());
        if without == Some(name) {
            continue;
        }
        if let Some(extension) = wanted.get_extension_by_json_name(name) {
            let value = match extension.is_list() {
                true => to_list(or_default(value.as_ref()), &extension.kind()),
                false => to_kind(value.as_ref(), &extension.kind()),
            };
            if let Some(value) = value.map_err(|error| error.inside(name))? {
                message.set_extension(&extension, value);
            }
            continue;
        }
        let field = wanted.get_field_by_name(name).or_else(|| wanted.get_field_by_json_name(name));
        let field = field.ok_or_else(|| {
            let what = format!("no field `{name}` in {}", wanted.full_name());
            UnlocatedError::new(ErrorKind::Type, what)
        })?;
        if given.contains(&field.number()) {
            let what = format!("`{}` is given under both of its names", field.name());
            return Err(UnlocatedError::new(ErrorKind::Conversion, what));
        }
        given.push(field.number());
        let value = to_field(value.as_ref(), &field).map_err(|error| error.inside(name))?;
        if let Some(value) = value {
            set(&mut message, &field, value)?;
        }
    }
    Ok(message)
}

/// Sets a field, with an error where another of its oneof is set, or where the evaluator and the descriptors disagree.
pub(super) fn set(
    message: &mut DynamicMessage,
    field: &FieldDescriptor,
    value: Value,
) -> Result<(), UnlocatedError> {
    if let Some(oneof) = field.containing_oneof()
        && let Some(other) = oneof.fields().find(|other| message.has_field(other))
    {
        let what =
            format!("`{}` and `{}` are both of `{}`", other.name(), field.name(), oneof.name());
        return Err(UnlocatedError::new(ErrorKind::Conversion, what));
    }
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
    let kind = if is_null(val) {
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
    } else if scalar::whole(val).is_some() || val.downcast_ref::<CelDouble>().is_some() {
        "number_value"
    } else {
        return Err(wrong(val, "JSON"));
    };
    let message = DynamicMessage::new(wanted.clone());
    let Some(field) = wanted.get_field_by_name(kind) else { return Ok(message) };
    build(wanted, [(field.clone(), to_kind(val, &field.kind())?)])
}

/// The value of a single field, or of an item of a list or map; `None` where null leaves it out.
pub(super) fn to_kind(val: &dyn Val, kind: &Kind) -> Assigned {
    let val = or_default(val);
    match kind {
        Kind::Message(wanted) => Ok(to_message(val, wanted)?.map(Value::Message)),
        Kind::Enum(of) if is_null(val) && of.full_name() == "google.protobuf.NullValue" => {
            Ok(Some(Value::EnumNumber(0)))
        }
        _ if is_null(val) => Ok(None),
        kind => scalar::of(val, kind).map(Some),
    }
}

fn is_null(val: &dyn Val) -> bool {
    val.downcast_ref::<CelNull>().is_some()
}

/// JSON has texts as its keys, whatever the map's are.
fn map_key(key: &CelMapKey<'_>, kind: &Kind) -> Result<MapKey, UnlocatedError> {
    if let Some(name) = key.inner().downcast_ref::<CelString>() {
        return scalar::key_of_text(name.inner(), kind).ok_or_else(|| {
            let what = format!("`{}` is no key of type {}", name.inner(), Type::of_kind(kind));
            UnlocatedError::new(ErrorKind::Conversion, what)
        });
    }
    let value = to_kind(key.inner(), kind)?;
    value.and_then(Value::into_map_key).ok_or_else(|| wrong(key.inner(), "a map key"))
}

/// A key for a sentence.
fn told(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

pub(super) fn null_inside(collection: &str) -> UnlocatedError {
    UnlocatedError::new(ErrorKind::Type, format!("null inside a {collection}"))
}
