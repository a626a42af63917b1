//! The contracts of Sagamesh: messages, clients, validation rules and descriptors of every `sagamesh.*.v1` package.
//!
//! Servers are not here: they are generated inside the `facade` crate, so that no handler can be reached around it.

pub mod canonical;
pub mod rules;

mod reason;

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

#[expect(
    clippy::all,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "prost and tonic generate it"
)]
mod packages {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

pub use packages::sagamesh::*;

mod generated {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

/// A response message: the facade fills its `ResultInfo result`.
pub trait Response {
    /// The number of the field `result`.
    const RESULT: u32;
    /// The result, once it is filled.
    fn result(&self) -> Option<&facade::v1::ResultInfo>;
    /// Fills the result.
    fn set_result(&mut self, result: facade::v1::ResultInfo);
    /// Empties the result.
    fn clear_result(&mut self);
}

/// The encoded `google.protobuf.FileDescriptorSet` of every package, with its imports and custom options.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sagamesh.binpb"));

/// The descriptors of every package.
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(DESCRIPTOR_SET)
            .expect("build.rs wrote a descriptor set that it had decoded")
    });
    &POOL
}
