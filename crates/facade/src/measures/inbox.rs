//! What deliveries come to in the inbox.

use metrics::{Counter, Counters, Registry};
use participant::{Answered, Decision, Error, SUPERSEDED};

use super::calls::split;
use crate::Call;

/// What is measured of the inboxes of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct InboxMeasures {
    decisions: Counters<2>,
    replays: Counters<2>,
}

impl InboxMeasures {
    pub(crate) fn new(metrics: &Registry) -> Self {
        Self {
            decisions: metrics.counters(
                "sagamesh_inbox_deliveries_total",
                "Deliveries by what they came to: done, declined, nothing_to_undo, superseded, a replay of one of these, or an error: key_reused, forgotten, direction, failed",
                ["database", "decision"],
            ),
            replays: metrics.counters(
                "saga_idempotent_replays_total",
                "Deliveries that were repeated, and got the first answer",
                ["service", "method"],
            ),
        }
    }

    pub(crate) fn of_database(&self, database: &str) -> DeliveryMeasures {
        let of = |decision| self.decisions.with([database, decision]);
        DeliveryMeasures { decisions: DECISIONS.map(of), replays: self.replays.clone() }
    }
}

const REPLAY: &str = "replay";

const DECISIONS: [&str; 9] = [
    "done",
    "declined",
    "nothing_to_undo",
    "superseded",
    REPLAY,
    "key_reused",
    "forgotten",
    "direction",
    "failed",
];

/// What is measured of one inbox.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryMeasures {
    decisions: [Counter; DECISIONS.len()],
    replays: Counters<2>,
}

impl DeliveryMeasures {
    /// Counts a delivery by what it came to.
    pub(crate) fn came_to(&self, call: &Call, answered: &Result<Answered, Error>) {
        let decision = decision(answered);
        if decision == REPLAY {
            // Repeats are rare, so their series is looked up.
            let (service, method) = split(call.method());
            self.replays.with([service, method]).inc();
        }
        let counted = DECISIONS.iter().zip(&self.decisions);
        counted.filter(|(known, _)| **known == decision).for_each(|(_, counter)| counter.inc());
    }
}

/// What a delivery came to, one of [`DECISIONS`].
fn decision(answered: &Result<Answered, Error>) -> &'static str {
    match answered {
        Ok(Answered { repeated: true, .. }) => REPLAY,
        Ok(Answered { outcome: Decision::Done(_), .. }) => "done",
        Ok(Answered { outcome: Decision::Declined(decline), .. }) => {
            match decline.reason.as_str() {
                SUPERSEDED => "superseded",
                _ => "declined",
            }
        }
        Ok(Answered { outcome: Decision::NothingToUndo, .. }) => "nothing_to_undo",
        Err(Error::KeyReused { .. }) => "key_reused",
        Err(Error::Forgotten { .. }) => "forgotten",
        Err(Error::Direction { .. }) => "direction",
        Err(Error::Work(_) | Error::Store(_)) => "failed",
    }
}
