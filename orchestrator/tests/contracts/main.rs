//! What participants say of themselves: reflection of every kind, and contracts that change after a definition was registered.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod check;
mod drift;
mod participant;
mod reflection;
