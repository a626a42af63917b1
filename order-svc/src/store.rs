//! Every query of the order service, one function per verb.
//!
//! Writers run inside the inbox's transaction; an error leaves nothing of them behind. Readers see what is committed,
//! each call one snapshot of it.

mod detail;
mod orders;

use crate::error::Error;

pub(crate) use ::store::Connection;
pub(crate) use detail::{Detail, detail, detailed};
pub(crate) use orders::{Details, Filter, cancelled_by, create, find, is_new, page, save};

fn unreadable(table: &'static str, key: &str) -> Error {
    Error::Unreadable { table, key: key.to_owned() }
}

#[cfg(test)]
mod tests;
