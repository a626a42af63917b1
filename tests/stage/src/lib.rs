//! For tests of one service alone: the service on a database of its own, its callers, and what every service is asked.
//!
//! - [`ServiceUnderTest`]: the service, served in this process on a clock that stands still
//! - [`step`], [`undo`]: requests of a saga; [`code`], [`reason`], [`refused`] and their like: answers read
//! - [`twice!`], [`refused_twice!`]: a repeat gets the first answer, byte for byte
//! - [`raw()`]: calls whose messages are bytes
//! - [`concurrently`], [`race_undoes`]: many callers at the same time
//! - [`database`], [`refuses`]: the tables by themselves; [`refusals_write_nothing`]: what is declined leaves no trace
//! - [`run_twice`]: work that the database runs again
//! - [`play`]: generated operations against a model
//! - [`collector()`]: where the spans of the process go
//! - [`damage`]: texts and bytes with something changed

#![expect(clippy::unwrap_used, reason = "a test whose stage cannot be set has failed")]

pub mod damage;

mod concurrent;
mod operations;
mod raw;
mod repeat;
mod requests;
mod rerun;
mod responses;
mod service;
mod spans;
mod tables;

pub use concurrent::{CONCURRENT_CALLERS, concurrently, count, race_undoes};
pub use operations::{Coverage, play};
pub use raw::{UNKNOWN_FIELD, raw};
pub use repeat::{assert_same_answer, assert_same_refusal, traced};
pub use requests::{euros, name_of, step, undo};
pub use rerun::run_twice;
pub use responses::{body, code, code_or_status, message, paths, reason, refused, result_of};
pub use service::{Open, ServiceUnderTest};
pub use spans::collector;
pub use tables::{Operation, database, refusals_write_nothing, refuses};
