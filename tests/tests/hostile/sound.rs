//! Requests that break no rule, made of their descriptors.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::rule::{self, Rule};

/// A request in which every field that has rules is set and sound.
pub(crate) fn message(descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if let Some(value) = value(&field) {
            message.set_field(&field, value);
        }
    }
    message
}

fn value(field: &FieldDescriptor) -> Option<Value> {
    if field.is_list() {
        return rule::inner(field).map(|inner| Value::List(vec![Value::Message(message(&inner))]));
    }
    if let Some(inner) = rule::inner(field) {
        return Some(Value::Message(message(&inner)));
    }
    let rule = Rule::of(field);
    match field.kind() {
        Kind::String if rule.currency => Some(Value::String("EUR".to_owned())),
        // A page token is made by the service alone, so there is none to begin with.
        Kind::String if field.name() == "page_token" => None,
        Kind::String => Some(Value::String("nobody".to_owned())),
        Kind::Int32 | Kind::Int64 if rule.min.is_some() => {
            rule::number(field, rule.min.unwrap_or_default().max(1))
        }
        _ => None,
    }
}

/// An entry of a list, unlike the others in the field that tells them apart.
pub(crate) fn entry(field: &FieldDescriptor, unique_by: Option<&str>, number: usize) -> Value {
    match (field.kind(), rule::inner(field)) {
        (Kind::Enum(_), _) => Value::EnumNumber(1),
        (Kind::Bytes, _) => Value::Bytes(bytes::Bytes::new()),
        (_, Some(inner)) => {
            let mut entry = message(&inner);
            if let Some(by) = unique_by {
                entry.set_field_by_name(by, Value::String(format!("n{number}")));
            }
            Value::Message(entry)
        }
        (other, None) => panic!("{} has entries of kind {other:?}", field.full_name()),
    }
}
