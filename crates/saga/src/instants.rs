//! What the instants of a saga are worth to a node that takes it up: its clock, or that of the node before, may have jumped
//! either way.
//!
//! Nothing is trusted beyond what the saga's own policies explain. Where the clock stands before the last record, what was
//! still to come comes as long after now as it was to come after that record. Where it stands further behind it than a node
//! that ran the saga would have left it without a record, the rest counts neither towards the deadline nor as age: no node
//! ran the saga then, or the clock jumped. All of this follows from the records alone.

use std::time::Duration;

use crate::{
    definition::Definition,
    event::TimeRules,
    standing::is_blocked,
    state::{Progress, SagaState},
    timestamp::Timestamp,
};

/// How the instants of a saga change that is taken up. Looked at before anything is made due.
pub(crate) enum Correction {
    /// The clock is behind the last record.
    SetBack { last: Timestamp },
    /// So much of the time since the last record does not count.
    NotCounted(Duration),
}

impl Correction {
    pub(crate) fn of(state: &SagaState, definition: &Definition, now: Timestamp) -> Self {
        let last = state.updated_at;
        if now < last {
            return Self::SetBack { last };
        }
        // The time that a saga is held does not count as it is.
        let not_counted = match state.rules {
            TimeRules::V2 if !is_blocked(state) => {
                now.since(last).saturating_sub(explained(state, definition))
            }
            _ => Duration::ZERO,
        };
        Self::NotCounted(not_counted)
    }

    pub(crate) fn apply(self, state: &mut SagaState, now: Timestamp) {
        match self {
            Self::SetBack { last } => set_back(state, last, now),
            Self::NotCounted(time) => not_counted(state, time),
        }
    }
}

/// How long after its last record a saga that a node ran would have had the next one: each attempt that is under way or
/// waited for ends after its wait and its time limit.
fn explained(state: &SagaState, definition: &Definition) -> Duration {
    let attempts = definition.ids().flat_map(|id| {
        let timeout = definition.step(id).timeout;
        let step = state.at(id);
        [&step.call, &step.undo].map(|attempt| match attempt.progress {
            Progress::Open { due } if !attempt.stuck => {
                due.since(state.updated_at).saturating_add(timeout)
            }
            _ => Duration::ZERO,
        })
    });
    attempts.max().unwrap_or_default()
}

fn set_back(state: &mut SagaState, last: Timestamp, now: Timestamp) {
    let closer = |instant: Timestamp| match instant > last {
        true => now.after(instant.since(last)),
        false => instant,
    };
    state.deadline = closer(state.deadline);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            attempt.first_at = attempt.first_at.min(now);
            if let Progress::Open { due } = &mut attempt.progress {
                *due = closer(*due);
            }
        }
    }
}

/// Puts the deadline off, and makes every attempt younger, by `time`.
pub(crate) fn not_counted(state: &mut SagaState, time: Duration) {
    state.deadline = state.deadline.after(time);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            attempt.first_at = attempt.first_at.after(time);
        }
    }
}
