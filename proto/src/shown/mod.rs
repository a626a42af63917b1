//! Messages as people are shown them: without the fields marked `debug_redact`, and bounded.
//!
//! Logs have [`redacted`] messages, the API has JSON ([`Writer`]). What is marked is decided here, for both.

use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, ReflectMessage, Value};

mod json;

pub use json::{Writer, enum_of};

/// May hold any message, and with it fields that nobody can know to be marked.
const ANY: &str = "google.protobuf.Any";

/// The message without every field marked `debug_redact`, however deep. A `google.protobuf.Any` loses what it holds.
#[must_use]
pub fn redacted(mut message: DynamicMessage) -> DynamicMessage {
    redact(&mut message);
    message
}

fn redact(message: &mut DynamicMessage) {
    if message.descriptor().full_name() == ANY {
        message.clear_field_by_name("value");
    }
    let secret: Vec<FieldDescriptor> =
        message.fields().map(|(field, _)| field).filter(is_secret_field).collect();
    for field in &secret {
        message.clear_field(field);
    }
    let secret: Vec<ExtensionDescriptor> =
        message.extensions().map(|(extension, _)| extension).filter(is_secret_extension).collect();
    for extension in &secret {
        message.clear_extension(extension);
    }
    for (_, value) in message.fields_mut() {
        redact_value(value);
    }
    for (_, value) in message.extensions_mut() {
        redact_value(value);
    }
}

fn redact_value(value: &mut Value) {
    match value {
        Value::Message(message) => redact(message),
        Value::List(entries) => entries.iter_mut().for_each(redact_value),
        Value::Map(entries) => entries.values_mut().for_each(redact_value),
        _ => {}
    }
}

/// Whether a field is marked `debug_redact`.
#[must_use]
pub fn is_secret_field(field: &FieldDescriptor) -> bool {
    is_marked(&field.options())
}

fn is_secret_extension(extension: &ExtensionDescriptor) -> bool {
    is_marked(&extension.options())
}

fn is_marked(options: &DynamicMessage) -> bool {
    options
        .get_field_by_name("debug_redact")
        .and_then(|redact| redact.as_bool())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
