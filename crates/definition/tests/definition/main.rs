//! Definitions from the outside: files in, problems or requests out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod budget;
mod cases;
mod evaluate;
mod input;
mod json;
mod output;
mod presence;
mod problems;
mod property;
mod shop;
