//! What others wrote, damaged: definitions and expressions. Never a panic, and never for long.
//!
//! Most inputs are real ones with something changed: noise alone is refused at the first byte.

mod definitions;
mod expressions;
