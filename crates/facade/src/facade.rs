//! What a server is set to: its clock, its layers, its inbox.

use std::{num::NonZeroUsize, sync::Arc};

use clock::Clock;
use metrics::Registry;
use store::{
    Database,
    retention::{Keep, KeepAnswers},
};

use crate::{
    Inbox,
    budget::Budget,
    layers::Layers,
    log::Calls,
    measures::{InboxMeasures, measure_budget},
};

/// How many calls a service's process has in flight at most where nothing else is said. More than one connection may have
/// streams of would wait for the store's one writer anyway.
pub const CALLS_IN_FLIGHT: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// What every RPC goes in and out through. Cheap to clone; clones count their calls together.
#[derive(Clone, Debug)]
pub struct Facade {
    inner: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    clock: Clock,
    layers: Layers,
    keep_inbox: Option<KeepAnswers>,
    metrics: Registry,
}

impl Facade {
    /// A facade that tells time by `clock` and logs the calls that `calls` names. It takes as many calls as come, and holds
    /// as many bytes as is usual ([`Budget::default`]). It measures nothing.
    #[must_use]
    pub fn new(clock: Clock, calls: Calls) -> Self {
        let layers = Layers::new(clock.clone(), calls, None);
        Self {
            inner: Arc::new(Settings { clock, layers, keep_inbox: None, metrics: Registry::off() }),
        }
    }

    /// The same, measured by the registry of its process.
    #[must_use]
    pub fn measured_by(&self, metrics: Registry) -> Self {
        measure_budget(&metrics, self.budget());
        let layers = self.inner.layers.measured_by(&metrics);
        Self { inner: Arc::new(Settings { layers, metrics, ..Settings::clone(&self.inner) }) }
    }

    /// What its process measures.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        &self.inner.metrics
    }

    /// The same within this budget of bytes, which all servers of the facade and its clones share.
    #[must_use]
    pub fn within(&self, budget: Budget) -> Self {
        measure_budget(self.metrics(), &budget);
        let layers = self.inner.layers.within(budget);
        Self { inner: Arc::new(Settings { layers, ..Settings::clone(&self.inner) }) }
    }

    /// The budget of bytes.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        self.inner.layers.budget()
    }

    /// The same for services whose inbox keeps its rows for so long; for ever where it is `None`.
    #[must_use]
    pub fn keeping_inbox(&self, keep_inbox: Option<KeepAnswers>) -> Self {
        Self { inner: Arc::new(Settings { keep_inbox, ..Settings::clone(&self.inner) }) }
    }

    /// The same with so many calls in flight at most, over all servers of the facade and its clones; no limit where it is
    /// `None`. One that comes beyond is refused before anything is done for it: RESOURCE_EXHAUSTED `OVERLOADED` with
    /// `RetryInfo`. A call is in flight until it is answered or its caller goes away, a stream until it is opened. Health
    /// and reflection are always answered.
    #[must_use]
    pub fn shedding(&self, limit: Option<NonZeroUsize>) -> Self {
        let layers = self.inner.layers.shedding(limit);
        Self { inner: Arc::new(Settings { layers, ..Settings::clone(&self.inner) }) }
    }

    /// The inbox in a service's database, on this facade's clock.
    #[must_use]
    pub fn inbox(&self, database: Database) -> Inbox {
        let name = database.stamp().name;
        let inbox = participant::Inbox::new(database, self.clock().clone());
        let measures = InboxMeasures::new(self.metrics()).of_database(&name);
        Inbox::new(inbox.keeping(self.keep_inbox()), measures)
    }

    /// How long the inboxes of its services keep their rows; for ever where it is `None`.
    pub(crate) fn keep_inbox(&self) -> Option<Keep> {
        self.inner.keep_inbox.map(KeepAnswers::keep)
    }

    /// The clock that calls are timed by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.inner.layers
    }
}
