//! The order service as its callers meet it: over gRPC, within the process, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod cancelling;
mod desk;
mod life;
mod lists;
mod lives;
mod placing;
mod races;
mod refusals;
mod repeats;
mod tokens;
