//! How the room for sagas is shared out, and what one saga may come to.

use std::{num::NonZero, time::Duration};

use facade::config::{Problem, duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an orchestrator shares out its room for sagas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sagas {
    /// How much of `limits.max_running` one definition may take, in percent; a start beyond it is refused,
    /// RESOURCE_EXHAUSTED.
    pub share_per_definition: u8,
    /// How many calls may be under way to one participant, in percent of `limits.max_running`; a start of a definition that
    /// calls it is refused beyond them, RESOURCE_EXHAUSTED.
    pub share_per_participant: u8,
    /// How many sagas run at once whose definitions call the orchestrator itself, as `cancel-order` does. They have this
    /// room to themselves; a start beyond it is refused, RESOURCE_EXHAUSTED.
    #[schemars(with = "usize")]
    pub max_steering: NonZero<usize>,
    /// How many sagas of one definition run at once whose participants are all within this process, as the shop's are in
    /// `dev`; a start beyond them is refused, RESOURCE_EXHAUSTED. Their calls are this process' own work, and services
    /// refuse what is more than `limits.max_calls`.
    #[schemars(with = "usize")]
    pub max_within: NonZero<usize>,
    /// How many sagas that wait for their next attempt stay in memory. Beyond them those that wait longest are read from
    /// the journal again when they are due.
    pub max_waiting: usize,
    /// How long a new saga may have to wait for this node, whatever its participants take. A start that would wait longer,
    /// or longer than its caller, is refused, RESOURCE_EXHAUSTED; one that nobody waits for, at half of it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub max_delay: Duration,
    /// How many records a saga's journal may have before it is neither paused nor retried by hand any more.
    pub max_records: u64,
    /// How many streams of events are open at once; a further one is refused, RESOURCE_EXHAUSTED.
    pub max_watchers: usize,
    /// How many of them may be of one saga.
    pub max_watchers_per_saga: usize,
}

impl Default for Sagas {
    fn default() -> Self {
        const MAX_STEERING: NonZero<usize> = NonZero::new(1_000).expect("it is not zero");
        const MAX_WITHIN: NonZero<usize> = NonZero::new(512).expect("it is not zero");
        Self {
            share_per_definition: 50,
            share_per_participant: 50,
            max_steering: MAX_STEERING,
            max_within: MAX_WITHIN,
            max_waiting: 1_000,
            max_delay: Duration::from_millis(250),
            max_records: 10_000,
            max_watchers: 10_000,
            max_watchers_per_saga: 1_000,
        }
    }
}

impl Sagas {
    /// What is wrong with it, where it stands at `limits.sagas`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let shares = [
            ("share_per_definition", self.share_per_definition),
            ("share_per_participant", self.share_per_participant),
        ];
        let wrong = shares.into_iter().filter(|(_, share)| !(1..=100).contains(share));
        wrong
            .map(|(name, share)| {
                let message = format!("{share} is no share: it must be from 1 to 100 percent");
                Problem::new(format!("limits.sagas.{name}"), message)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_part_of_a_hundred_and_told_by_its_name_where_it_is_none() {
        assert_eq!(Sagas::default().problems(), []);
        for share in [0, 101] {
            let sagas = Sagas { share_per_participant: share, ..Sagas::default() };
            let problems = sagas.problems();
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            assert_eq!(problem.path, "limits.sagas.share_per_participant");
        }
    }
}
