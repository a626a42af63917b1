//! The contracts of Sagamesh: messages, clients, validation rules and descriptors of every `sagamesh.*.v1` package.
//!
//! Handlers are not here: each service generates the trait that it implements, by `facade-build`.

pub mod canonical;
pub mod rules;
pub mod shown;

mod reason;

// Generated code names this crate by its name, here as elsewhere.
extern crate self as proto;

pub use prost_reflect::DescriptorPool;

/// The packages under their whole names, as generated code has them.
#[doc(hidden)]
#[expect(
    clippy::all,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "prost and tonic generate it"
)]
pub mod packages {
    include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
}

pub use packages::{DESCRIPTOR_SET, descriptors, sagamesh::*};

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
