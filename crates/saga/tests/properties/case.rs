//! What is generated: a definition, and all that happens to a saga of it.

use saga::Definition;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Done,
    Declined,
    Unknown { landed: bool },
    PushedBack { wait_ms: u64 },
    NotSent,
    Unusable,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Pause,
    Resume,
    Retry,
    Cancel,
    Skip(u16),
    Resolve,
    Crash,
}

/// What is generated.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) definition: Definition,
    /// What each attempt comes to, and after how many milliseconds.
    pub(crate) replies: Vec<(Reply, u64)>,
    /// When an operator does what.
    pub(crate) orders: Vec<(u64, Order)>,
    /// Bit by step: whether its condition is false.
    pub(crate) conditions: u16,
    /// Where a crash is put in.
    pub(crate) cut: u16,
}
