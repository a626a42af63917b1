//! Every query of the stock service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed.

mod catalogue;
mod flow;
mod reservation;
mod units;

use ::store::Connection;

pub(crate) use catalogue::{product, products, quotes, upsert};
pub(crate) use flow::{Flow, flows};
pub(crate) use reservation::{freeze, settle};
pub(crate) use units::{add, units};

#[cfg(test)]
mod tests;
