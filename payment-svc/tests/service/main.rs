//! The payment service as its callers meet it: over gRPC, within the process, on a real database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod bytes;
mod ledger;
mod races;
mod refusals;
mod repeats;
mod steps;
mod till;
mod wallets;
