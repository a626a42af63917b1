//! Every query of the stock service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed.

mod catalogue;
mod flow;
mod reservation;
mod units;

use ::store::sqlite::Connection;
use clock::Timestamp;

pub(crate) use catalogue::{product, products, quotes, upsert};
pub(crate) use flow::{Flow, flows};
pub(crate) use reservation::{freeze, settle};
pub(crate) use units::{add, units};

/// An instant as the integer columns hold it: milliseconds since the Unix epoch.
fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
