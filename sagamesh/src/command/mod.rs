//! The commands, one file a noun.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod definition;
pub(crate) mod order;
pub(crate) mod saga;
