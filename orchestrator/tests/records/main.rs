//! Records of a journal, damaged: what they decode to, and what the engine makes of that. Never a panic.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod decoding;
