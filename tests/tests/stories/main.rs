//! Stories of the whole mesh, told through its gRPC API alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aside;
mod bad_input;
mod cancelling;
mod content;
mod contract;
mod definitions;
mod in_flight;
mod node;
mod operators;
mod outages;
mod placing;
mod python;
mod races;
mod retention;
mod shedding;
mod spans;
mod streams;
mod traces;
mod unavailable;
mod work;
