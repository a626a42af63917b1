//! The `result` of a response that is known only at run time.

use prost::Message;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};
use proto::facade::v1::ResultInfo;

/// Fills a response's `result` where its type has one of type `ResultInfo`.
pub(crate) fn fill_result(message: &mut DynamicMessage, result: ResultInfo) -> bool {
    let Some(field) = message.descriptor().get_field_by_name("result") else { return false };
    let Kind::Message(kind) = field.kind() else { return false };
    if field.is_list() || kind.full_name() != "sagamesh.facade.v1.ResultInfo" {
        return false;
    }
    // Through bytes: the response's pool may be another copy than ours.
    let Ok(value) = DynamicMessage::decode(kind, result.encode_to_vec().as_slice()) else {
        return false;
    };
    message.try_set_field(&field, Value::Message(value)).is_ok()
}
