//! What every RPC of every service goes in and out through.
//!
//! A service implements the handler trait that `facade-build` generates of its contract, and mounts it on a
//! [`server::Server`]. Each call passes the list in `layers.rs` on its way in and out; its handler runs within the caller's
//! deadline, and a [`Failure`] becomes an answer in one place. A handler gets a [`Call`] and its message and nothing of
//! the connection, so none is reached around this. What is refused before it reaches a handler gets the same form.
//! [`caller`] is the same for calls that go out.

pub mod budget;
pub mod caller;
pub mod codec;
pub mod config;
pub mod dial;
pub mod dynamic;
pub mod echo;
pub mod health;
pub mod json;
pub mod listener;
pub mod log;
pub mod page;
pub mod process;
pub mod readiness;
pub mod server;
pub mod stream;
pub mod trace;
pub mod wire;

mod admin;
mod call;
mod context;
mod deadline;
mod dispatch;
mod end;
mod entry;
mod facade;
mod failure;
mod foreign;
mod inbox;
mod layers;
mod measures;
mod mount;
mod pipeline;
mod redact;
mod reflection;
mod reply;
mod request_body;
mod respond;
mod result;
mod service_error;
mod status;
mod unanswered;

pub use call::{Call, Caller};
pub use facade::{CALLS_IN_FLIGHT, Facade};
pub use failure::{Decline, Failure};
pub use inbox::Inbox;
pub use reply::Reply;
pub use service_error::ServiceError;
pub use stream::ResponseStream;
pub use trace::Trace;
