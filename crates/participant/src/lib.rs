//! The inbox that makes a service a safe participant of sagas, and the database that it lives in.
//!
//! A service hands each write to an [`Inbox`], with the [`Key`] of the delivery. The inbox runs the work at most
//! once per key, in one transaction with its own row, and answers every repeat with the first answer.
//!
//! - [`key`]: what makes two deliveries the same one
//! - [`inbox`]: the rules, which hold for every store
//! - [`store`]: what the rules need of a database
//! - [`sqlite`]: SQLite, with one writer that commits for many callers at once
//! - [`mod@conformance`]: what must hold on every store, for its tests to run
//!
//! Any other write goes through [`Store::write`], which has the same writer and the same promise: an answer
//! comes after the commit.

pub mod conformance;
pub mod inbox;
pub mod key;
pub mod request;
pub mod sqlite;
pub mod store;

mod answer;

pub use answer::{Answered, Decline, Failure, Outcome, SUPERSEDED};
pub use inbox::{Delivery, Error, Inbox};
pub use key::{Direction, Key};
pub use sqlite::Database;
pub use store::Store;
