//! What the orchestrator reads that others wrote, damaged: definitions, expressions, records. Never a panic, and never
//! for long.
//!
//! Most inputs are real ones with something changed: noise alone is refused at the first byte.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod definitions;
mod expressions;
mod mutation;
mod records;
