//! A single number, text, enum or byte string as the value of a field.
//!
//! Whatever was widened on the way in is checked on the way out. Where only the saga's own JSON can have brought a text to
//! a field of another kind, it is read by the rules of proto3 JSON. Nothing is rounded, cut or wrapped, but for the
//! decimals of a float field.

use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelString, CelUInt};
use cel::common::value::Val;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, Kind, MapKey, MessageDescriptor, Value,
};

use super::error::{ErrorKind, UnlocatedError};
use super::evaluate::wrong;
use super::json::Number;
use super::types::Type;

type Outcome<T> = Result<T, UnlocatedError>;

/// A value that is neither null nor a message as one of `kind`, which is no message either.
pub(super) fn of(val: &dyn Val, kind: &Kind) -> Outcome<Value> {
    let value = match kind {
        Kind::Message(_) => None,
        Kind::Bool => val.downcast_ref::<CelBool>().map(|value| Value::Bool(*value.inner())),
        Kind::String => text(val).map(|text| Value::String(text.to_owned())),
        Kind::Bytes => match text(val) {
            Some(text) => Some(base64(text)?),
            None => val
                .downcast_ref::<CelBytes>()
                .map(|value| Value::Bytes(bytes::Bytes::copy_from_slice(value.inner()))),
        },
        Kind::Double => double(val)?.map(Value::F64),
        Kind::Float => single(val)?.map(Value::F32),
        Kind::Enum(of) => match text(val) {
            Some(name) => Some(Value::EnumNumber(enum_number(name, of)?)),
            None => narrow(val, of.full_name())?.map(Value::EnumNumber),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => narrow(val, "int32")?.map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => narrow(val, "int64")?.map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => narrow(val, "uint32")?.map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => narrow(val, "uint64")?.map(Value::U64),
    };
    value.ok_or_else(|| wrong(val, &Type::of_kind(kind).to_string()))
}

/// The whole number that a value is, if it is one. A JSON number is a double, so `5.0` counts.
pub(super) fn whole(val: &dyn Val) -> Option<i128> {
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

/// The key of a map that a text names, as the keys of JSON and of YAML are written.
pub(super) fn key_of_text(name: &str, kind: &Kind) -> Option<MapKey> {
    Some(match kind {
        Kind::String => MapKey::String(name.to_owned()),
        Kind::Bool => MapKey::Bool(name.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(name.parse().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(name.parse().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(name.parse().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(name.parse().ok()?),
        _ => return None,
    })
}

/// A message that proto3 JSON writes as a text: `2026-01-31T12:00:00Z`, `1.5s`, `name,address.street`.
pub(super) fn written(text: &str, wanted: &MessageDescriptor) -> Outcome<DynamicMessage> {
    let json = serde_json::Value::String(text.to_owned());
    DynamicMessage::deserialize(wanted.clone(), json).map_err(|_| {
        let example = match wanted.name() {
            "Timestamp" => ", such as `2026-01-31T12:00:00Z`",
            "Duration" => ", such as `1.5s`",
            "FieldMask" => ", such as `name,address.street`",
            _ => "",
        };
        let what = format!("`{text}` is no {}{example}", wanted.name());
        UnlocatedError::new(ErrorKind::Conversion, what)
    })
}

fn text(val: &dyn Val) -> Option<&str> {
    val.downcast_ref::<CelString>().map(CelString::inner)
}

fn base64(text: &str) -> Outcome<Value> {
    let wrapper = DescriptorPool::global().get_message_by_name("google.protobuf.BytesValue");
    let read = wrapper.and_then(|wrapper| written(text, &wrapper).ok());
    let value =
        read.and_then(|message| message.get_field_by_name("value").map(|of| of.into_owned()));
    value.ok_or_else(|| {
        UnlocatedError::new(
            ErrorKind::Conversion,
            format!("`{text}` is not base64, as bytes are written in JSON"),
        )
    })
}

fn enum_number(name: &str, of: &EnumDescriptor) -> Outcome<i32> {
    let what = || format!("no value `{name}` in {}", of.full_name());
    let found = of.get_value_by_name(name);
    found
        .map(|value| value.number())
        .ok_or_else(|| UnlocatedError::new(ErrorKind::Conversion, what()))
}

/// The number that a text of JSON is.
fn number_of(text: &str, to: &str) -> Outcome<Number> {
    if let Some(number) = Number::parse(text) {
        return Ok(number);
    }
    match Number::is_written_as(text) {
        true => Err(out_of_range(text, to)),
        false => Err(UnlocatedError::new(ErrorKind::Conversion, format!("`{text}` is no {to}"))),
    }
}

fn narrow<T: TryFrom<i128>>(val: &dyn Val, to: &str) -> Outcome<Option<T>> {
    let fit = |number: i128| T::try_from(number).map_err(|_| out_of_range(number, to));
    if let Some(text) = text(val) {
        return match number_of(text, to)? {
            Number::Whole(number) => fit(number).map(Some),
            Number::Double(0.0) => fit(0).map(Some),
            Number::Double(_) => Err(out_of_range(text, to)),
        };
    }
    match (whole(val), val.downcast_ref::<CelDouble>()) {
        (Some(number), _) => fit(number).map(Some),
        (None, Some(double)) => Err(out_of_range(format_args!("{:?}", double.inner()), to)),
        (None, None) => Ok(None),
    }
}

fn double(val: &dyn Val) -> Outcome<Option<f64>> {
    if let Some(double) = val.downcast_ref::<CelDouble>() {
        return Ok(Some(*double.inner()));
    }
    let number = match text(val) {
        Some("NaN") => return Ok(Some(f64::NAN)),
        Some("Infinity") => return Ok(Some(f64::INFINITY)),
        Some("-Infinity") => return Ok(Some(f64::NEG_INFINITY)),
        Some(text) => match number_of(text, "double")? {
            Number::Double(double) => return Ok(Some(double)),
            Number::Whole(number) => number,
        },
        None => match whole(val) {
            Some(number) => number,
            None => return Ok(None),
        },
    };
    exact_double(number).map(Some).ok_or_else(|| out_of_range(number, "double"))
}

/// The double that is this whole number.
pub(super) fn exact_double(number: i128) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "compared with the number right after")]
    let double = number as f64;
    #[expect(clippy::cast_possible_truncation, reason = "only to see whether something was lost")]
    (double as i128 == number).then_some(double)
}

/// A float field rounds decimals; a whole number that it would make another is refused, as is one that overflows.
fn single(val: &dyn Val) -> Outcome<Option<f32>> {
    let Some(double) = double(val)? else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "looked at right after")]
    let single = double as f32;
    let is_other = whole(val).is_some() && f64::from(single).to_bits() != double.to_bits();
    if is_other || (single.is_infinite() && double.is_finite()) {
        return Err(out_of_range(format_args!("{double:?}"), "float"));
    }
    Ok(Some(single))
}

fn out_of_range(number: impl std::fmt::Display, to: &str) -> UnlocatedError {
    UnlocatedError::new(ErrorKind::Arithmetic, format!("{number} does not fit into {to}"))
}
