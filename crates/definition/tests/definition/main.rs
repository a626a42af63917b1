//! Definitions from the outside: files in, problems or requests out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod budget;
mod cases;
mod decline;
mod drift;
mod evaluate;
mod input;
mod json;
mod metadata;
mod output;
mod presence;
mod problems;
mod property;
mod protos;
mod shop;
mod undo_with;
