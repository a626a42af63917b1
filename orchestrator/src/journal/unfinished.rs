//! How many sagas have not ended, by where they stand.

use clock::Timestamp;
use saga::Status;

/// The sagas that have not ended, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedCounts {
    /// Those of each definition and state; in ATTENTION, of each reason.
    pub groups: Vec<Group>,
    /// Those that are asleep and due.
    pub due: u64,
    /// Those that are neither asleep nor stand aside: a task runs them, or is to.
    pub awake: u64,
}

/// Sagas of one definition that stand alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The definition's name.
    pub definition: String,
    /// Their state. One that stands aside needs a person, whatever its journal said last.
    pub status: Status,
    /// Why they need a person, where they do: a code.
    pub reason: Option<String>,
    /// How many they are.
    pub sagas: u64,
    /// Since when the one has stood so that has longest. One that stands aside: since its journal last changed its state.
    pub since: Timestamp,
}
