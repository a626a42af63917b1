//! What the driver does when: a node whose clock stands still until a test moves it, and a participant that answers when
//! the test says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aside;
mod budget;
mod callers;
mod content;
mod decline;
mod in_line;
mod jumps;
mod limits;
mod metadata;
mod metrics;
mod operators;
mod restarts;
mod retries;
mod room;
mod sleep;
mod test_driver;
mod undo_with;
