//! The frame of a process: its tasks, its end, its listeners and its settings.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod connections;
mod measured;
mod settings;
mod stages;
mod stuck;
