//! Calls to participants: by method name, over the network or within the process, and what their answers mean.

pub mod call;
pub mod classify;
pub mod contract;
#[cfg(test)]
mod hung;
mod judge;
pub mod limiter;
mod message_size;
pub mod participants;
pub mod reflection;
mod secrets;
mod traffic;

pub use call::{Attempt, CallOutcome};
pub use contract::Contract;
pub use judge::Judge;
pub use limiter::CallLimits;
pub use participants::{Participant, Participants};
pub(crate) use secrets::keep_fresh;
