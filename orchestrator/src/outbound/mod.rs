//! Calls to participants: by method name, over the network or within the process, and what their answers mean.

pub mod call;
pub mod classify;
pub mod limiter;
pub mod participants;
pub mod reflection;

pub use call::Attempt;
pub use limiter::CallLimits;
pub use participants::{Participant, Participants};
