//! Our own methods by their path.

use prost_reflect::{MessageDescriptor, MethodDescriptor};

/// The method that `/package.Service/Method` names.
pub(crate) fn of_ours(path: &str) -> Option<MethodDescriptor> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let service = proto::descriptors().get_service_by_name(service)?;
    service.methods().find(|known| known.name() == method)
}

/// What the method at this path takes.
pub(crate) fn input_of_ours(path: &str) -> Option<MessageDescriptor> {
    of_ours(path).map(|method| method.input())
}

/// What the method at this path gives.
pub(crate) fn output_of_ours(path: &str) -> Option<MessageDescriptor> {
    of_ours(path).map(|method| method.output())
}
