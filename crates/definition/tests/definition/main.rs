//! Definitions from the outside: files in, problems or requests out.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod budget;
mod cases;
mod evaluate;
mod json;
mod presence;
mod input;
mod output;
mod problems;
mod property;
mod shop;
