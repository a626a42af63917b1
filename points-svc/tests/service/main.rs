//! The points service as its callers meet it: over gRPC, within the process, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod accounts;
mod club;
mod ledger;
mod races;
mod refusals;
mod repeats;
mod steps;
