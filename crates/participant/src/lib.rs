//! The inbox that makes a service a safe participant of sagas.
//!
//! A service hands each write to an [`Inbox`], with the [`Key`] of the delivery. The inbox runs the work at most
//! once per key, in one transaction with its own row, and answers every repeat with the first answer.
//!
//! - [`key`]: what makes two deliveries the same one
//! - [`metadata`]: how a call says whose delivery it is
//! - [`inbox`]: the rules
//! - [`table`]: the rows of its table
//! - [`sqlite`]: its table in SQLite
//! - [`mod@conformance`]: what must hold on every database, for its tests to run
//!
//! A handler, with `Freeze` as the method and an own error that converts into [`WorkError`]:
//!
//! ```
//! # use participant::{Answered, Decline, Delivery, Error, WorkError, Inbox, Key};
//! # async fn freeze(inbox: Inbox, key: Key, request: Vec<u8>, trace_id: String) -> Result<Answered, Error> {
//! let method = "sagamesh.stock.v1.StockService/Freeze";
//! let delivery = Delivery { key, method, request: &request, trace_id: &trace_id };
//! inbox
//!     .call(delivery, |connection| {
//!         let freeze = "update stock set frozen = frozen + 1 where frozen < available";
//!         if connection.execute(freeze, ())? == 0 {
//!             return Err(Decline::new("INSUFFICIENT_STOCK", "nothing is left").into());
//!         }
//!         Ok("the encoded response".into())
//!     })
//!     .await
//! # }
//! ```
//!
//! Any other write goes through [`store::Database::write`], which has the same writer and the same promise: an answer
//! comes after the commit.

pub mod conformance;
pub mod inbox;
pub mod key;
pub mod metadata;
pub mod request;
pub mod sqlite;
pub mod table;

mod decision;
mod forget;
mod rows;

pub use decision::{Answered, Decision, Decline, SUPERSEDED, WorkError};
pub use forget::remove_old_rows;
pub use inbox::{Delivery, Error, Inbox};
pub use key::{Direction, Key};
pub use metadata::SagaMetadata;
