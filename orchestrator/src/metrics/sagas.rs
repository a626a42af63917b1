//! What happens to the sagas of a node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use definition::Compiled;
use facade::Failure;
use metrics::Registry;
use tonic::Code;

use super::{
    definition::DefinitionMetrics,
    families::Families,
    marks::{CompensationOutcome, SagaOutcome},
    reason_label,
};

/// What an operator orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Cancel,
    Pause,
    Resolve,
    Resume,
    Retry,
    Skip,
}

impl Action {
    const ALL: [Self; 6] =
        [Self::Cancel, Self::Pause, Self::Resolve, Self::Resume, Self::Retry, Self::Skip];

    /// The label's value.
    fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resolve => "resolve",
            Self::Resume => "resume",
            Self::Retry => "retry",
            Self::Skip => "skip",
        }
    }
}

/// What an operator's order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionResult {
    /// It stands.
    Ok,
    /// The saga's state does not allow it, or there is no such saga or step.
    Refused,
    /// It could not be carried out now.
    Failed,
}

impl ActionResult {
    const ALL: [Self; 3] = [Self::Ok, Self::Refused, Self::Failed];

    /// What an answer to the operator says of it.
    pub(crate) fn of<T>(answer: &Result<T, Failure>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(Failure::Invalid(_)) => Self::Refused,
            Err(Failure::Refused { code, .. }) if *code != Code::Unavailable => Self::Refused,
            Err(_) => Self::Failed,
        }
    }

    /// The label's value.
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Counts what happens to the sagas of a node.
#[derive(Debug)]
pub(crate) struct SagaMetrics {
    families: Families,
    /// The handles of each definition that a saga has run by, by its hash.
    definitions: ArcSwap<HashMap<String, Arc<DefinitionMetrics>>>,
    drift: ArcSwap<Drift>,
}

/// What the last comparison of contracts came to.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    /// How many differences there are, where there are any.
    pub(crate) by_definition: BTreeMap<String, u64>,
    /// How many participants could not be asked.
    pub(crate) not_compared: usize,
}

impl SagaMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let families = Families::of(registry);
        for action in Action::ALL {
            for result in ActionResult::ALL {
                let _ = families.manual_actions.with([action.as_str(), result.as_str()]);
            }
        }
        Self { families, definitions: ArcSwap::default(), drift: ArcSwap::default() }
    }

    /// The handles of a definition.
    pub(crate) fn of(&self, definition: &Compiled) -> Arc<DefinitionMetrics> {
        if let Some(known) = self.definitions.load().get(definition.hash()) {
            return Arc::clone(known);
        }
        let made = Arc::new(DefinitionMetrics::new(&self.families, definition));
        self.definitions.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(definition.hash().to_owned(), Arc::clone(&made));
            known
        });
        made
    }

    /// An operator's order came to something.
    pub(crate) fn ordered(&self, action: Action, result: ActionResult) {
        self.families.manual_actions.with([action.as_str(), result.as_str()]).inc();
    }

    /// A saga was set aside.
    pub(crate) fn set_aside(&self, code: &str) {
        self.families.set_aside.with([reason_label(code)]).inc();
    }

    /// A saga of this definition that stood aside was closed, so long after its start.
    pub(crate) fn closed_aside(&self, definition: &str, took: Duration) {
        let outcome = SagaOutcome::Resolved.as_str();
        self.families.finished.with([definition, outcome]).inc();
        self.families.duration.with([definition, outcome]).record(took);
    }

    /// A saga that waited went on, so long after it was due.
    pub(crate) fn dispatched(&self, lag: Duration) {
        self.families.dispatch_lag.record(lag);
    }

    /// Contracts were compared: the definition of each difference, and how many participants could not be asked.
    pub(crate) fn compared<'d>(&self, drift: impl Iterator<Item = &'d str>, not_compared: usize) {
        let mut by_definition = BTreeMap::new();
        drift.for_each(|name| *by_definition.entry(name.to_owned()).or_default() += 1);
        self.drift.store(Arc::new(Drift { by_definition, not_compared }));
    }

    /// What the last comparison of contracts came to.
    pub(super) fn drift(&self) -> Arc<Drift> {
        self.drift.load_full()
    }

    /// Shows the counters of a definition of this name, also before a saga runs by it: what is counted first is seen as a
    /// rise then.
    pub(super) fn show(&self, definition: &str) {
        let _ = self.families.started.with([definition]);
        for outcome in SagaOutcome::ALL {
            let _ = self.families.finished.with([definition, outcome.as_str()]);
        }
        for outcome in CompensationOutcome::ALL {
            let _ = self.families.compensations.with([definition, outcome.as_str()]);
        }
    }

    /// Forgets a name by whose definitions no saga runs or begins any more.
    pub(super) fn forget(&self, definition: &str) {
        let known = self.definitions.load();
        let versions = known.values().filter(|known| known.name() == definition);
        versions.for_each(|version| version.remove(&self.families));
        self.families.started.remove([definition]);
        for outcome in SagaOutcome::ALL {
            self.families.finished.remove([definition, outcome.as_str()]);
            self.families.duration.remove([definition, outcome.as_str()]);
        }
        for outcome in CompensationOutcome::ALL {
            self.families.compensations.remove([definition, outcome.as_str()]);
        }
        self.definitions.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.retain(|_, known| known.name() != definition);
            known
        });
    }
}
