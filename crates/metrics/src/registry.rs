//! The families of a process, by name.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    encoding::text,
    registry::{Metric, Registry as Families, Unit},
};

use crate::{
    Counter, Counters, Gauge, Gauges, Histogram, Histograms, ReadCounters, ReadGauges, Series,
    family::{Buckets, Handle, Made},
    preparation::Preparations,
};

/// Everything that a process measures. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Registry(Option<Arc<Mutex<State>>>);

#[derive(Default)]
pub(crate) struct State {
    families: Families,
    known: BTreeMap<&'static str, Known>,
    pub(crate) preparations: Preparations,
}

struct Known {
    description: Description,
    family: Box<dyn Any + Send>,
}

/// What a family measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// As it is exposed: a counter ends with `_total`.
    pub name: &'static str,
    /// What kind of value it has.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: Vec<&'static str>,
    /// A sentence, without its full stop.
    pub help: &'static str,
}

/// What kind of value a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// How many values lie below each bound, how many there are, and their sum.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// A registry of a process that measures nothing: its handles do nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether anything is measured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The counters of this name, which ends with `_total`.
    ///
    /// # Panics
    /// Where there is a family of this name with another kind or other labels, and where a counter's name does not end so.
    #[must_use]
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        let description = Description::new(name, Kind::Counter, &labels, help);
        self.series(description, labels, Made::<N, Counter>::default)
    }

    /// The gauges of this name.
    ///
    /// # Panics
    /// As for [`Registry::counters`].
    #[must_use]
    pub fn gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Gauges<N> {
        let description = Description::new(name, Kind::Gauge, &labels, help);
        self.series(description, labels, Made::<N, Gauge>::default)
    }

    /// The histograms of this name, with these upper bounds (see [`crate::buckets`]).
    ///
    /// # Panics
    /// As for [`Registry::counters`].
    #[must_use]
    pub fn histograms<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
        buckets: &'static [f64],
    ) -> Histograms<N> {
        let description = Description::new(name, Kind::Histogram, &labels, help);
        self.series(description, labels, || {
            Made::<N, Histogram>::new_with_constructor(Buckets(buckets))
        })
    }

    /// The counters of this name that are read when they are scraped.
    ///
    /// # Panics
    /// As for [`Registry::counters`].
    #[must_use]
    pub fn read_counters<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> ReadCounters<N> {
        let description = Description::new(name, Kind::Counter, &labels, help);
        self.family(description, || ReadCounters::new(labels)).unwrap_or_default()
    }

    /// The gauges of this name that are read when they are scraped.
    ///
    /// # Panics
    /// As for [`Registry::counters`].
    #[must_use]
    pub fn read_gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> ReadGauges<N> {
        let description = Description::new(name, Kind::Gauge, &labels, help);
        self.family(description, || ReadGauges::new(labels)).unwrap_or_default()
    }

    /// Every family that was asked for, by name.
    #[must_use]
    pub fn catalogue(&self) -> Vec<Description> {
        let Some(state) = self.state() else { return Vec::new() };
        state.known.values().map(|known| known.description.clone()).collect()
    }

    /// What a scrape gets: OpenMetrics text, to its `# EOF`. It takes some milliseconds where there are thousands of series.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut scraped = String::new();
        if let Some(state) = self.state() {
            // Writing to a string does not fail, and no value is one that cannot be written.
            let _ = text::encode(&mut scraped, &state.families);
        }
        scraped
    }

    fn series<const N: usize, H: Handle>(
        &self,
        description: Description,
        labels: [&'static str; N],
        make: impl FnOnce() -> Made<N, H>,
    ) -> Series<N, H>
    where
        Made<N, H>: Metric,
    {
        Series::of(labels, self.family(description, make))
    }

    /// The family of this description: the one that there is, or the one that `make` gives.
    fn family<F: Metric + Clone>(
        &self,
        description: Description,
        make: impl FnOnce() -> F,
    ) -> Option<F> {
        let mut state = self.state()?;
        let name = description.name;
        if let Some(known) = state.known.get(name) {
            let same = (known.description == description).then_some(&known.family);
            let family = same.and_then(|family| family.downcast_ref::<F>());
            assert!(family.is_some(), "the metric {name} is asked for with another description");
            return family.cloned();
        }
        let family = make();
        let metric = family.clone();
        let (stem, unit) = description.stem_and_unit();
        match unit {
            Some(unit) => state.families.register_with_unit(stem, description.help, unit, metric),
            None => state.families.register(stem, description.help, metric),
        }
        state.known.insert(name, Known { description, family: Box::new(family.clone()) });
        Some(family)
    }

    pub(crate) fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.as_ref()?;
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

impl Description {
    fn new(name: &'static str, kind: Kind, labels: &[&'static str], help: &'static str) -> Self {
        let is_total = name.ends_with("_total");
        assert_eq!(is_total, kind == Kind::Counter, "{name}: counters alone end with _total");
        Self { name, kind, labels: labels.to_vec(), help }
    }

    /// What the encoder makes the name of again: it adds unit and `_total` by itself.
    fn stem_and_unit(&self) -> (&'static str, Option<Unit>) {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        let units = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
        let found = units
            .into_iter()
            .find_map(|(suffix, unit)| Some((name.strip_suffix(suffix)?, Some(unit))));
        found.unwrap_or((name, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposed_names_are_the_catalogues() {
        let registry = Registry::new();
        registry.counters("saga_started_total", "Sagas begun", ["definition"]).with(["a"]).inc();
        registry.counters("process_cpu_seconds_total", "CPU time", []).with([]).add(2);
        registry.gauges("saga_oldest_age_seconds", "Ages", []).with([]).set(1.5);
        let encoded = registry.encode();
        for line in [
            "# TYPE saga_started counter\nsaga_started_total{definition=\"a\"} 1\n",
            "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\nprocess_cpu_seconds_total 2\n",
            "# HELP saga_oldest_age_seconds Ages.\n",
            "saga_oldest_age_seconds 1.5\n",
        ] {
            assert!(encoded.contains(line), "{line} is not in {encoded}");
        }
        assert!(encoded.ends_with("# EOF\n"));
        let names: Vec<_> = registry.catalogue().into_iter().map(|known| known.name).collect();
        assert_eq!(
            names,
            ["process_cpu_seconds_total", "saga_oldest_age_seconds", "saga_started_total"]
        );
    }

    #[test]
    fn who_asks_for_a_family_again_gets_the_same() {
        let registry = Registry::new();
        for _ in 0..2 {
            registry.counters("a_total", "A", ["role"]).with(["order"]).inc();
        }
        assert_eq!(registry.encode().matches("# TYPE a counter").count(), 1);
        assert!(registry.encode().contains("a_total{role=\"order\"} 2\n"));
    }

    #[test]
    #[should_panic(expected = "another description")]
    fn a_family_has_one_set_of_labels() {
        let registry = Registry::new();
        let _ = registry.counters("a_total", "A", ["role"]);
        let _ = registry.counters("a_total", "A", ["database"]);
    }

    #[test]
    fn a_registry_that_is_off_has_nothing_and_its_handles_do_nothing() {
        let registry = Registry::off();
        let counter = registry.counters("a_total", "A", []).with([]);
        counter.inc();
        assert_eq!(counter.value(), 0);
        assert!(registry.catalogue().is_empty());
        assert_eq!(registry.encode(), "");
    }
}
