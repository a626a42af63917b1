//! What a collector is told of calls, and what it is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../calls/logged.rs"]
mod logged;
mod markers;
mod server_spans;
mod spans;
mod till;
