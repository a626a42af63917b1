//! Messages in the log at debug level, without the fields marked `debug_redact`.

use prost_reflect::{DynamicMessage, MessageDescriptor};
use proto::shown::redacted;

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
