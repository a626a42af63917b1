//! `google.protobuf.Any`: a message that says its own type.
//!
//! In expressions it is the message that it holds, where the descriptors know that. In templates `@type` names the type of the
//! message to be packed, as in proto3 JSON.

use cel::common::types::{CelMap, CelString};
use cel::common::value::Val;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage, Value};

use super::error::{ErrorKind, UnlocatedError};
use super::meter::Cost;
use super::types::WellKnown;
use super::wire;

/// The key that names the type of a message which is to be packed.
pub(super) const TYPE_KEY: &str = "@type";

/// What stands in front of a type's name where nobody says otherwise.
const PREFIX: &str = "type.googleapis.com/";

/// How many values a packed message may have to be unpacked, as a response may have.
const MAX_VALUES: usize = 250_000;

/// How many packed messages may be inside of each other to be unpacked at once.
const MAX_DEPTH: usize = 16;

/// The full name of the type that a URL names.
pub(super) fn type_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The URL that is sent for what a definition writes; the name of the type suffices.
pub(super) fn type_url(written: &str) -> String {
    if written.contains('/') { written.to_owned() } else { format!("{PREFIX}{written}") }
}

/// Packs a message into an `Any`, which `any` describes.
pub(super) fn pack(content: DynamicMessage, url: &str, any: &MessageDescriptor) -> DynamicMessage {
    let mut packed = DynamicMessage::new(any.clone());
    let bytes = proto::canonical::encode(content);
    // A participant may describe an `Any` of its own, which then stays empty.
    let _ = packed.try_set_field_by_name("type_url", Value::String(url.to_owned()));
    let _ = packed.try_set_field_by_name("value", Value::Bytes(bytes.into()));
    packed
}

/// As [`pack`], with the usual URL of the message's type.
pub(super) fn pack_as_usual(content: DynamicMessage, any: &MessageDescriptor) -> DynamicMessage {
    let url = type_url(content.descriptor().full_name());
    pack(content, &url, any)
}

/// The message that an `Any` holds, and that is no `Any` itself.
///
/// # Errors
/// Why it cannot be told.
pub(super) fn unpack(any: &DynamicMessage) -> Result<DynamicMessage, String> {
    let mut content = unpack_one(any)?;
    for _ in 1..MAX_DEPTH {
        if WellKnown::of(&content.descriptor()) != Some(WellKnown::Any) {
            return Ok(content);
        }
        content = unpack_one(&content)?;
    }
    Err(format!("more than {MAX_DEPTH} messages are packed inside of each other"))
}

fn unpack_one(any: &DynamicMessage) -> Result<DynamicMessage, String> {
    let (descriptor, bytes) = content(any)?;
    let values = wire::count_values(&descriptor, &bytes);
    if values > MAX_VALUES {
        return Err(format!("it holds {values} values, and {MAX_VALUES} are unpacked"));
    }
    let name = descriptor.full_name().to_owned();
    DynamicMessage::decode(descriptor, bytes)
        .map_err(|error| format!("it holds no {name}: {error}"))
}

fn content(any: &DynamicMessage) -> Result<(MessageDescriptor, bytes::Bytes), String> {
    let url = any.get_field_by_name("type_url");
    let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
    if url.is_empty() {
        return Err("it holds nothing".to_owned());
    }
    let name = type_name(url);
    let descriptor = any.descriptor().parent_pool().get_message_by_name(name);
    let descriptor = descriptor.ok_or_else(|| {
        format!("it holds {name}, which nothing describes: name its .proto under `descriptors:`")
    })?;
    let bytes = any.get_field_by_name("value");
    let bytes = bytes.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
    Ok((descriptor, bytes))
}

/// What it takes to unpack an `Any`.
pub(super) fn cost(any: &DynamicMessage) -> Cost {
    content(any).map_or(Cost::default(), |(descriptor, bytes)| wire::cost(&descriptor, &bytes))
}

/// The type that a map of an expression names for a message to be packed: as it is written, and its descriptor.
pub(super) fn named<'m>(
    map: &'m CelMap<'_>,
    any: &MessageDescriptor,
) -> Result<Option<(&'m str, MessageDescriptor)>, UnlocatedError> {
    let entry = map.inner().iter().find(|(key, _)| key_name(key.inner()) == TYPE_KEY);
    let Some((_, written)) = entry else { return Ok(None) };
    let failed = |what: String| UnlocatedError::new(ErrorKind::Type, what);
    let written = written.downcast_ref::<CelString>().map(CelString::inner);
    let written = written.ok_or_else(|| failed(format!("`{TYPE_KEY}` is no text")))?;
    let name = type_name(written);
    let descriptor = any.parent_pool().get_message_by_name(name);
    let unknown = || failed(format!("nothing describes {name}, which is to be packed"));
    Ok(Some((written, descriptor.ok_or_else(unknown)?)))
}

/// The text that a key of a map is.
pub(super) fn key_name(key: &dyn Val) -> &str {
    key.downcast_ref::<CelString>().map_or("", CelString::inner)
}
