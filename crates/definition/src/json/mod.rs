//! JSON that a saga is started with: read once, every number as it is written.

mod number;
mod read;

use std::fmt;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use protox::file::{File, FileResolver};

pub(super) use number::Number;
pub(super) use read::object;

/// The package of the messages that hold JSON.
pub(super) const PACKAGE: &str = "sagamesh.json.v1.";
/// The field of a `Value` that holds a number as it is written.
pub(super) const NUMBER_TEXT: &str = "number_text";

/// How deep JSON may be that is kept as it is: three messages hold one level, and no message is decoded that is deeper
/// than a hundred.
pub(super) const MAX_DEPTH: usize = 32;
/// How deep JSON may be of which a message is made.
pub(super) const MAX_TYPED_DEPTH: usize = 100;

/// Why a saga cannot be started with this JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// The place in the input, such as `lines[2].price`; empty where it is the text as a whole.
    pub path: String,
    /// What is wrong and what to do, without a full stop.
    pub what: String,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.what),
            path => write!(f, "{path}: {}", self.what),
        }
    }
}

impl std::error::Error for InputError {}

/// The messages that hold JSON.
struct Kinds {
    object: MessageDescriptor,
    array: MessageDescriptor,
    value: MessageDescriptor,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let kinds = pool().ok().and_then(|pool| {
        let find = |name: &str| pool.get_message_by_name(&format!("{PACKAGE}{name}"));
        Some(Kinds { object: find("Object")?, array: find("Array")?, value: find("Value")? })
    });
    kinds.expect("json.proto is sound, as the tests show")
});

fn pool() -> Result<DescriptorPool, protox::Error> {
    struct Source;
    impl FileResolver for Source {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            File::from_source(name, include_str!("json.proto"))
        }
    }
    let mut compiler = protox::Compiler::with_file_resolver(Source);
    Ok(compiler.open_file("json.proto")?.descriptor_pool())
}

/// The type of a JSON object.
pub(super) fn object_type() -> MessageDescriptor {
    KINDS.object.clone()
}

fn message(of: &MessageDescriptor, field: &str, value: Value) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    message.set_field_by_name(field, value);
    message
}
