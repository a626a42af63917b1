//! What was refused because of a limit.

use metrics::{Counter, Registry};

/// A limit at which something is refused, by the name of its setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `limits.max_running`
    MaxRunning,
    /// `limits.sagas.share_per_definition`
    SharePerDefinition,
    /// `limits.sagas.share_per_participant`
    SharePerParticipant,
    /// `limits.sagas.max_within`
    MaxWithin,
    /// `limits.sagas.max_steering`
    MaxSteering,
    /// `limits.sagas.max_delay`
    MaxDelay,
    /// `limits.sagas.max_records`
    MaxRecords,
    /// `limits.sagas.max_watchers`
    MaxWatchers,
    /// `limits.sagas.max_watchers_per_saga`
    MaxWatchersPerSaga,
    /// `definitions.max_registered`
    MaxRegistered,
}

impl Limit {
    const ALL: [Self; 10] = [
        Self::MaxRunning,
        Self::SharePerDefinition,
        Self::SharePerParticipant,
        Self::MaxWithin,
        Self::MaxSteering,
        Self::MaxDelay,
        Self::MaxRecords,
        Self::MaxWatchers,
        Self::MaxWatchersPerSaga,
        Self::MaxRegistered,
    ];

    /// The setting's name.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::MaxRunning => "limits.max_running",
            Self::SharePerDefinition => "limits.sagas.share_per_definition",
            Self::SharePerParticipant => "limits.sagas.share_per_participant",
            Self::MaxWithin => "limits.sagas.max_within",
            Self::MaxSteering => "limits.sagas.max_steering",
            Self::MaxDelay => "limits.sagas.max_delay",
            Self::MaxRecords => "limits.sagas.max_records",
            Self::MaxWatchers => "limits.sagas.max_watchers",
            Self::MaxWatchersPerSaga => "limits.sagas.max_watchers_per_saga",
            Self::MaxRegistered => "definitions.max_registered",
        }
    }
}

/// Counts refusals by their limits.
#[derive(Clone, Debug)]
pub(crate) struct Refusals([Counter; Limit::ALL.len()]);

impl Refusals {
    pub(crate) fn new(registry: &Registry) -> Self {
        let refusals = registry.counters(
            "sagamesh_limit_refusals_total",
            "What was refused because of a limit, by its setting",
            ["limit"],
        );
        Self(Limit::ALL.map(|limit| refusals.with([limit.setting()])))
    }

    /// Something was refused because of this limit.
    pub(crate) fn count(&self, limit: Limit) {
        self.0[limit as usize].inc();
    }
}
