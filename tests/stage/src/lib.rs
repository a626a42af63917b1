//! For tests of one service alone: the service on a database of its own, its callers, and what every service is asked.
//!
//! - [`Alone`]: the service, served in this process on a clock that stands still
//! - [`step`], [`undo`]: requests of a saga; [`code`], [`reason`], [`refused`] and their like: answers read
//! - [`twice!`], [`refused_twice!`]: a repeat gets the first answer, byte for byte
//! - [`raw()`]: calls whose messages are bytes
//! - [`at_once`], [`race_undoes`]: many callers at the same time
//! - [`database`], [`refuses`]: the tables by themselves; [`refusals_write_nothing`]: what is declined leaves no trace
//! - [`run_twice`]: work that the database runs again
//! - [`play`]: generated deeds against a model
//! - [`damage`]: texts and bytes with something changed

#![expect(clippy::unwrap_used, reason = "a test whose stage cannot be set has failed")]

pub mod damage;

mod again;
mod alone;
mod deeds;
mod many;
mod raw;
mod repeat;
mod requests;
mod responses;
mod tables;

pub use again::run_twice;
pub use alone::{Alone, Open};
pub use deeds::{Met, play};
pub use many::{MANY, at_once, count, race_undoes};
pub use raw::{UNKNOWN_FIELD, raw};
pub use repeat::{the_same, the_same_refusal, traced};
pub use requests::{euros, name_of, step, undo};
pub use responses::{body, code, message, paths, reason, refused, result_of, told};
pub use tables::{Deed, database, refusals_write_nothing, refuses};
