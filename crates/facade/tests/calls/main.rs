//! The way of a call through the facade, from the HTTP request to the log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounded;
mod deadlines;
mod dynamic;
mod encodings;
mod endpoints;
mod isolated;
mod large;
mod logged;
mod measured;
mod messages;
mod names;
mod network;
mod never_sent;
mod peer;
mod refused;
mod server;
mod shed;
mod silent;
mod statuses;
mod streams;
