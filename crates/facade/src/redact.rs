//! Messages in the log at debug level, without the fields marked `debug_redact`.

use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, ReflectMessage, Value};

/// May hold any message, and with it fields that nobody here can know to be marked.
const ANY: &str = "google.protobuf.Any";

/// Whether messages are logged at all: nothing is decoded or copied for a log that nobody writes.
pub(crate) fn is_logged() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// An encoded message as its descriptor shows it.
pub(crate) fn shown(kind: MessageDescriptor, bytes: &[u8]) -> Option<DynamicMessage> {
    DynamicMessage::decode(kind, bytes).ok()
}

/// Logs what was asked.
pub(crate) fn log_request(message: Option<DynamicMessage>) {
    if let Some(message) = message.map(redacted) {
        tracing::debug!(request = %message, "request");
    }
}

/// Logs what was answered.
pub(crate) fn log_response(message: Option<DynamicMessage>) {
    if let Some(message) = message.map(redacted) {
        tracing::debug!(response = %message, "response");
    }
}

/// The message as it may be shown.
pub(crate) fn redacted(mut message: DynamicMessage) -> DynamicMessage {
    redact(&mut message);
    message
}

/// Clears every field marked `debug_redact`, however deep. Fields that the descriptor does not know are never shown.
fn redact(message: &mut DynamicMessage) {
    if message.descriptor().full_name() == ANY {
        message.clear_field_by_name("value");
    }
    let secret: Vec<FieldDescriptor> =
        message.fields().map(|(field, _)| field).filter(is_secret).collect();
    for field in &secret {
        message.clear_field(field);
    }
    for (_, value) in message.fields_mut() {
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

fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options
        .get_field_by_name("debug_redact")
        .and_then(|redact| redact.as_bool())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage};

    use super::redact;

    const CARD: &str = r#"
        syntax = "proto3";
        message Card { string holder = 1; string number = 2 [debug_redact = true]; }
        message Purchase { Card card = 1; repeated Card more = 2; }
    "#;

    #[test]
    fn fields_marked_debug_redact_never_reach_the_log() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("card.proto"), CARD).unwrap();
        let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
        compiler.include_imports(true).open_file("card.proto").unwrap();
        let pool =
            DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();

        let card = r#"{"holder":"Ada","number":"4000123412341234"}"#;
        let json = format!(r#"{{"card":{card},"more":[{card},{card}]}}"#);
        let mut json = serde_json::Deserializer::from_str(&json);
        let purchase = pool.get_message_by_name("Purchase").unwrap();
        let mut message = DynamicMessage::deserialize(purchase, &mut json).unwrap();
        redact(&mut message);
        let text = message.to_string();
        assert_eq!(text.matches("Ada").count(), 3, "{text}");
        assert!(!text.contains("4000"), "{text}");
    }
}
