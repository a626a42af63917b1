//! The `result` of a response.

use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value,
};
use proto::facade::v1::ResultInfo;

/// The result of a call that did what it was asked to.
pub(crate) fn done(trace_id: String) -> ResultInfo {
    ResultInfo { success: true, code: "OK".to_owned(), message: String::new(), trace_id }
}

/// The field that takes the result, where the type has one.
pub(crate) fn result_of(kind: &MessageDescriptor) -> Option<FieldDescriptor> {
    kind.get_field_by_name("result").filter(|field| match field.kind() {
        Kind::Message(kind) => {
            !field.is_list() && kind.full_name() == "sagamesh.facade.v1.ResultInfo"
        }
        _ => false,
    })
}

/// Fills a response's `result` where its type has one of type `ResultInfo`.
pub(crate) fn fill_result(message: &mut DynamicMessage, result: ResultInfo) -> bool {
    let Some(field) = result_of(&message.descriptor()) else { return false };
    let Kind::Message(kind) = field.kind() else { return false };
    // The message goes through bytes, because the response's descriptor pool may be another copy than ours.
    let Ok(value) = DynamicMessage::decode(kind, result.encode_to_vec().as_slice()) else {
        return false;
    };
    message.try_set_field(&field, Value::Message(value)).is_ok()
}
