//! One encoding for equal messages.
//!
//! A message that is known only at run time keeps its maps in an order that differs from run to run, and so do its
//! bytes. Where bytes say whether two requests are the same one, or whether an answer is the first one again, they are
//! made here.

use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

/// Encodes a message, the entries of each map in the order of their keys, at any depth. Equal messages have equal
/// bytes; a message without maps has the bytes that any encoder gives it.
///
/// A map inside a proto2 group or extension keeps its chance order.
#[must_use]
pub fn encode(message: DynamicMessage) -> Vec<u8> {
    if !has_map(&message) {
        return message.encode_to_vec();
    }
    let mut bytes = Vec::new();
    write(message, &mut bytes);
    bytes
}

/// The message without the fields that its descriptor does not know, at any depth.
#[must_use]
pub fn known(mut message: DynamicMessage) -> DynamicMessage {
    forget(&mut message);
    message
}

fn forget(message: &mut DynamicMessage) {
    fn forget_in(value: &mut Value) {
        match value {
            Value::Message(inner) => forget(inner),
            Value::List(entries) => entries.iter_mut().for_each(forget_in),
            Value::Map(entries) => entries.values_mut().for_each(forget_in),
            _ => {}
        }
    }
    // It takes as far as it is asked to.
    message.take_unknown_fields().for_each(drop);
    message.fields_mut().for_each(|(_, value)| forget_in(value));
}

fn has_map(message: &DynamicMessage) -> bool {
    fn value_has_map(value: &Value) -> bool {
        match value {
            Value::Map(_) => true,
            Value::Message(inner) => has_map(inner),
            Value::List(entries) => entries.iter().any(value_has_map),
            _ => false,
        }
    }
    message.fields().any(|(_, value)| value_has_map(value))
}

/// Only the order of map entries is ours: each field alone is encoded by the library.
fn write(mut message: DynamicMessage, bytes: &mut Vec<u8>) {
    let kind = message.descriptor();
    let fields: Vec<(FieldDescriptor, Value)> = message.take_fields().collect();
    for (field, value) in fields {
        match value {
            Value::Map(entries) => {
                let mut entries: Vec<(MapKey, Value)> = entries.into_iter().collect();
                entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                for (key, value) in entries {
                    if let Some(entry) = entry(&field, key, value) {
                        write_inner(&field, entry, bytes);
                    }
                }
            }
            Value::Message(inner) if !field.is_group() => write_inner(&field, inner, bytes),
            Value::List(entries)
                if matches!(field.kind(), Kind::Message(_)) && !field.is_group() =>
            {
                for entry in entries {
                    if let Value::Message(inner) = entry {
                        write_inner(&field, inner, bytes);
                    }
                }
            }
            value => {
                let mut alone = DynamicMessage::new(kind.clone());
                alone.set_field(&field, value);
                bytes.extend(alone.encode_to_vec());
            }
        }
    }
    // The remaining bytes are extensions and fields that the descriptor does not know.
    bytes.extend(message.encode_to_vec());
}

/// A map entry as the message that it is on the wire.
fn entry(field: &FieldDescriptor, key: MapKey, value: Value) -> Option<DynamicMessage> {
    let Kind::Message(kind) = field.kind() else { return None };
    let mut entry = DynamicMessage::new(kind.clone());
    entry.set_field(&kind.map_entry_key_field(), key.into());
    entry.set_field(&kind.map_entry_value_field(), value);
    Some(entry)
}

fn write_inner(field: &FieldDescriptor, inner: DynamicMessage, bytes: &mut Vec<u8>) {
    let inner = encode(inner);
    encode_key(field.number(), WireType::LengthDelimited, bytes);
    encode_varint(inner.len() as u64, bytes);
    bytes.extend(inner);
}
