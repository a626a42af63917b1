//! A mesh among hostile callers: broken requests, callers who go away, callers who race, and a disk that fails.
//!
//! `SAGAMESH_SEED` replays a run; `SAGAMESH_TIMES` multiplies how much each test does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod books;
mod breaks;
mod cancellation;
mod disk;
mod errand;
mod garbage;
mod loss;
mod operators;
mod panics;
mod races;
mod refusals;
mod rpc;
mod rule;
mod seed;
mod snapshot;
mod sound;
