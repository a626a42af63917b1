//! A mesh among hostile callers: broken requests, callers who go away, callers who race, and a disk that fails.
//!
//! `SAGAMESH_SEED` replays a run; `SAGAMESH_TIMES` multiplies how much each test does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod breaks;
mod garbage;
mod panics;
mod rpc;
mod rule;
mod seed;
mod snapshot;
mod sound;
