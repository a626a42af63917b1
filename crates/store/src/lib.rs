//! A database of one process: transactions that are answered after their commit, reads at one moment, migrations, and the
//! removal of what is old.
//!
//! - [`Database`]: an open database, whichever it is
//! - [`Connection`]: what work in a transaction has of it
//! - [`Value`]: what goes into a statement, and what a row holds
//! - [`Dialect`]: what differs between databases in the text of a statement
//! - [`sqlite`]: SQLite, with one writer that commits for many callers at once
//! - [`stamp`]: which database it is, how far it has come, and whether databases belong together
//! - [`measures`]: what is measured of a database
//! - [`retention`]: how what is old is removed, in small batches
//!
//! Another database stands beside [`sqlite`], below the traits of `backend`.

pub mod measures;
pub mod retention;
pub mod sqlite;
pub mod stamp;

mod backend;
mod connection;
mod database;
mod dialect;
mod error;
mod instant;
mod job;
mod value;
mod values;

pub use connection::{Connection, Prepared, Row};
pub use database::{Database, WeakDatabase};
pub use dialect::Dialect;
pub use error::{Error, SharedError};
pub use instant::millis;
pub use value::{FromValue, ToValue, Value};
pub use values::Values;
