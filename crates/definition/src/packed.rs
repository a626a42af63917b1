//! A `google.protobuf.Any` as proto3 JSON writes it: `@type`, and the fields of the message inside beside it.

use cel::common::types::{
    CelBool, CelDouble, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value as Json;

use super::error::{ErrorKind, UnlocatedError};
use super::evaluate::wrong;
use super::scalar;

const TYPE: &str = "@type";

/// Whether `map` is a message packed into `wanted`.
pub(super) fn is_packed(map: &CelMap<'_>, wanted: &MessageDescriptor) -> bool {
    wanted.full_name() == "google.protobuf.Any"
        && map.inner().keys().any(|key| name(key) == Some(TYPE))
}

/// The message that is packed in `map`; its type must be known where the `Any` is.
pub(super) fn any(
    map: &CelMap<'_>,
    wanted: &MessageDescriptor,
) -> Result<DynamicMessage, UnlocatedError> {
    DynamicMessage::deserialize(wanted.clone(), object(map)?)
        .map_err(|error| UnlocatedError::new(ErrorKind::Conversion, error.to_string()))
}

fn name<'k>(key: &'k CelMapKey<'_>) -> Option<&'k str> {
    key.inner().downcast_ref::<CelString>().map(CelString::inner)
}

fn object(map: &CelMap<'_>) -> Result<Json, UnlocatedError> {
    let members = map.inner().iter().map(|(key, value)| {
        let name = name(key).ok_or_else(|| wrong(key.inner(), "a name"))?;
        Ok((name.to_owned(), json(value.as_ref())?))
    });
    members.collect::<Result<_, _>>().map(Json::Object)
}

fn json(val: &dyn Val) -> Result<Json, UnlocatedError> {
    if let Some(map) = val.downcast_ref::<CelMap>() {
        return object(map);
    }
    if let Some(list) = val.downcast_ref::<CelList>() {
        return list.inner().iter().map(|item| json(item.as_ref())).collect();
    }
    let whole = scalar::whole(val);
    let int = whole.and_then(|whole| i64::try_from(whole).ok());
    Ok(if val.downcast_ref::<CelNull>().is_some() {
        Json::Null
    } else if let Some(text) = val.downcast_ref::<CelString>() {
        text.inner().into()
    } else if let Some(value) = val.downcast_ref::<CelBool>() {
        (*value.inner()).into()
    } else if let Some(int) = int {
        int.into()
    } else if let Some(uint) = val.downcast_ref::<CelUInt>() {
        (*uint.inner()).into()
    } else if let Some(double) = val.downcast_ref::<CelDouble>() {
        (*double.inner()).into()
    } else {
        return Err(wrong(val, "JSON"));
    })
}
