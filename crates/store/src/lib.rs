//! A database of one process: transactions that are answered after their commit, reads at one moment, migrations, and the
//! removal of what is old.
//!
//! - [`Store`]: what everything above needs of a database
//! - [`sqlite`]: SQLite, with one writer that commits for many callers at once
//! - [`retention`]: how what is old is removed, in small batches

pub mod retention;
pub mod sqlite;

mod database;
mod error;

pub use database::{Store, Work};
pub use error::{Error, SharedError};
