//! Families whose values are moved by handles.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::metrics::{
    counter,
    exemplar::HistogramWithExemplars,
    family::{Family, MetricConstructor},
    gauge,
};

/// The labels of a series, each with its name.
pub(crate) type LabelSet<const N: usize> = [(&'static str, String); N];

pub(crate) fn labels<const N: usize>(names: [&'static str; N], values: [String; N]) -> LabelSet<N> {
    let mut values = values.into_iter();
    names.map(|name| (name, values.next().unwrap_or_default()))
}

/// A family of metrics: a series for each set of values of its labels. Cheap to clone; clones share the series.
pub struct Series<const N: usize, H: Handle> {
    names: [&'static str; N],
    /// `None` where nothing is measured.
    family: Option<Made<N, H>>,
}

/// A family as it is registered.
pub(crate) type Made<const N: usize, H> =
    Family<LabelSet<N>, <H as Handle>::Metric, <H as Handle>::Constructor>;

/// Counters, with `N` labels.
pub type Counters<const N: usize> = Series<N, Counter>;
/// Gauges, with `N` labels.
pub type Gauges<const N: usize> = Series<N, Gauge>;
/// Histograms, with `N` labels.
pub type Histograms<const N: usize> = Series<N, Histogram>;

/// What moves the value of a series.
pub trait Handle: Sized {
    #[doc(hidden)]
    type Metric: Clone;
    #[doc(hidden)]
    type Constructor: Clone + MetricConstructor<Self::Metric>;

    #[doc(hidden)]
    fn new(metric: Option<Self::Metric>) -> Self;
}

impl<const N: usize, H: Handle> Series<N, H> {
    pub(crate) fn of(names: [&'static str; N], family: Option<Made<N, H>>) -> Self {
        Self { names, family }
    }

    /// The handle of the series with these values of the labels, which is scraped from now on. Keep it: the series is found
    /// by a lock and a hash.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> H {
        let labels = || labels(self.names, values.map(str::to_owned));
        H::new(self.family.as_ref().map(|family| family.get_or_create_owned(&labels())))
    }

    /// Scrapes the series with these values no longer.
    pub fn remove(&self, values: [&str; N]) {
        if let Some(family) = &self.family {
            family.remove(&labels(self.names, values.map(str::to_owned)));
        }
    }

    /// Whether anything is measured.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.family.is_some()
    }
}

impl<const N: usize, H: Handle> Clone for Series<N, H> {
    fn clone(&self) -> Self {
        Self { names: self.names, family: self.family.clone() }
    }
}

impl<const N: usize, H: Handle> fmt::Debug for Series<N, H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Series").field("labels", &self.names).finish_non_exhaustive()
    }
}

/// A value that only grows. Cheap to clone; clones count together. [`Counter::default`] counts nothing.
#[derive(Clone, Debug, Default)]
pub struct Counter(Option<counter::Counter>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        if let Some(counter) = &self.0 {
            counter.inc_by(more);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.as_ref().map_or(0, counter::Counter::get)
    }
}

impl Handle for Counter {
    type Metric = counter::Counter;
    type Constructor = fn() -> counter::Counter;

    fn new(metric: Option<Self::Metric>) -> Self {
        Self(metric)
    }
}

/// A value as it is at the moment. Cheap to clone; clones move the same. [`Gauge::default`] keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Option<PlainGauge>);

type PlainGauge = gauge::Gauge<f64, AtomicU64>;

impl Gauge {
    /// So much, from now on.
    pub fn set(&self, value: f64) {
        if let Some(gauge) = &self.0 {
            gauge.set(value);
        }
    }

    /// So much more, or less.
    pub fn add(&self, more: f64) {
        if let Some(gauge) = &self.0 {
            gauge.inc_by(more);
        }
    }

    /// How much it is.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.0.as_ref().map_or(0.0, PlainGauge::get)
    }
}

impl Handle for Gauge {
    type Metric = PlainGauge;
    type Constructor = fn() -> PlainGauge;

    fn new(metric: Option<Self::Metric>) -> Self {
        Self(metric)
    }
}

/// How many values lie below each bound. Cheap to clone; clones count together. [`Histogram::default`] counts nothing.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Option<HistogramWithExemplars<TraceLabel>>);

/// The label of an exemplar.
type TraceLabel = [(&'static str, String); 1];

impl Histogram {
    /// Counts a duration, in seconds and fractions of one.
    pub fn record(&self, elapsed: Duration) {
        self.observe(elapsed.as_secs_f64());
    }

    /// The same, with the trace in which it can be looked at: give it only where that is exported.
    pub fn record_in(&self, elapsed: Duration, trace_id: Option<String>) {
        if let Some(histogram) = &self.0 {
            let exemplar = trace_id.map(|id| [("trace_id", id)]);
            histogram.observe(elapsed.as_secs_f64(), exemplar, None);
        }
    }

    /// Counts a value of another unit.
    pub fn observe(&self, value: f64) {
        if let Some(histogram) = &self.0 {
            histogram.observe(value, None, None);
        }
    }
}

impl Handle for Histogram {
    type Metric = HistogramWithExemplars<TraceLabel>;
    type Constructor = Buckets;

    fn new(metric: Option<Self::Metric>) -> Self {
        Self(metric)
    }
}

/// The upper bounds of a family's histograms.
#[derive(Clone, Copy, Debug)]
pub struct Buckets(pub(crate) &'static [f64]);

impl MetricConstructor<HistogramWithExemplars<TraceLabel>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<TraceLabel> {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Registry, buckets::SHORT_SECONDS};

    #[test]
    fn a_duration_is_counted_in_fractions_of_a_second() {
        let registry = Registry::new();
        let histogram = registry.histograms("a_seconds", "A", ["op"], SHORT_SECONDS).with(["read"]);
        histogram.record(Duration::from_micros(250));
        let encoded = registry.encode();
        assert!(encoded.contains("a_seconds_sum{op=\"read\"} 0.00025\n"), "{encoded}");
        assert!(encoded.contains("a_seconds_bucket{le=\"0.001\",op=\"read\"} 1\n"), "{encoded}");
    }

    #[test]
    fn an_exemplar_names_the_trace_in_the_bucket_that_it_is_of() {
        let registry = Registry::new();
        let histogram = registry.histograms("a_seconds", "A", [], SHORT_SECONDS).with([]);
        histogram.record_in(Duration::from_millis(3), Some("4bf9".to_owned()));
        histogram.record_in(Duration::from_millis(3), None);
        let line = "a_seconds_bucket{le=\"0.005\"} 2 # {trace_id=\"4bf9\"} 0.003\n";
        assert!(registry.encode().contains(line), "{}", registry.encode());
    }

    #[test]
    fn what_is_in_a_label_cannot_end_it() {
        let registry = Registry::new();
        registry.counters("a_total", "A", ["x"]).with(["\"} 1\n\\"]).inc();
        let line = "a_total{x=\"\\\"} 1\\n\\\\\"} 1\n";
        assert!(registry.encode().contains(line), "{}", registry.encode());
    }

    #[test]
    fn a_series_that_was_removed_is_scraped_no_longer() {
        let registry = Registry::new();
        let gauges = registry.gauges("a", "A", ["x"]);
        gauges.with(["one"]).set(1.0);
        gauges.with(["two"]).add(2.0);
        gauges.remove(["one"]);
        let encoded = registry.encode();
        assert!(!encoded.contains("one") && encoded.contains("a{x=\"two\"} 2.0\n"), "{encoded}");
    }
}
