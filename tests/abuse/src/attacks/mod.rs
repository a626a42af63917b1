//! The attacks, a file a kind. Each begins when it has prepared what it needs, and goes on until it is dropped.

pub(crate) mod answers;
pub(crate) mod bodies;
pub(crate) mod connections;
pub(crate) mod elements;
pub(crate) mod expressions;
pub(crate) mod extremes;
pub(crate) mod floods;
pub(crate) mod gone_callers;
pub(crate) mod lists;
pub(crate) mod participants;
pub(crate) mod sagas;
pub(crate) mod texts;
pub(crate) mod together;
pub(crate) mod unread_log;
pub(crate) mod watchers;
