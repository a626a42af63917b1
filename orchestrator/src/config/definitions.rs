//! Where definitions come from, and how many there may be.

use std::{num::NonZero, path::PathBuf, time::Duration};

use facade::config::{Problem, duration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where definitions come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Definitions {
    /// Those that the program brings, by name: `[shop]` has PlaceOrder and CancelOrder.
    pub bundles: Vec<String>,
    /// A folder of definitions, which is watched; none where it is left out.
    pub folder: Option<PathBuf>,
    /// How often the node looks for files that have changed, and for what other nodes have registered; `100ms` or more. A
    /// file is taken when two looks have found it the same.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub poll_interval: Duration,
    /// How many definitions may be registered, each version counted, and how many files the folder may have; a further one
    /// is refused, RESOURCE_EXHAUSTED `DEFINITIONS_FULL`.
    #[schemars(with = "usize")]
    pub max_registered: NonZero<usize>,
}

impl Default for Definitions {
    fn default() -> Self {
        const MAX_REGISTERED: NonZero<usize> = NonZero::new(10_000).expect("it is not zero");
        Self {
            bundles: Vec::new(),
            folder: None,
            poll_interval: Duration::from_secs(1),
            max_registered: MAX_REGISTERED,
        }
    }
}

impl Definitions {
    /// What is wrong with it, where it stands at `definitions`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        const SHORTEST: Duration = Duration::from_millis(100);
        let is_short = self.poll_interval < SHORTEST;
        let problem = || {
            let message =
                format!("{:?} is too short: it must be 100ms or more", self.poll_interval);
            Problem::new("definitions.poll_interval", message)
        };
        is_short.then(problem).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_not_looked_at_without_a_pause() {
        assert_eq!(Definitions::default().problems(), []);
        let hasty = Definitions { poll_interval: Duration::ZERO, ..Definitions::default() };
        let problems = hasty.problems();
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(problem.path, "definitions.poll_interval");
    }
}
