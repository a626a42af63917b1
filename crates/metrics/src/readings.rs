//! Families whose values are read when they are scraped, for what is counted elsewhere anyway.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::family::labels;

/// What one scrape reads of a family.
#[derive(Debug)]
pub struct Readings<const N: usize>(BTreeMap<[String; N], f64>);

impl<const N: usize> Readings<N> {
    /// The value of the series with these values of the labels. Of a series that is read more than once the values are added
    /// up.
    pub fn add(&mut self, values: [&str; N], value: f64) {
        *self.0.entry(values.map(str::to_owned)).or_default() += value;
    }
}

type Source<const N: usize> = Box<dyn Fn(&mut Readings<N>) + Send + Sync>;

/// A family that is read. Cheap to clone; clones share the sources.
struct Read<const N: usize> {
    names: [&'static str; N],
    sources: Arc<RwLock<Vec<Source<N>>>>,
}

impl<const N: usize> Read<N> {
    fn new(names: [&'static str; N]) -> Self {
        Self { names, sources: Arc::default() }
    }

    fn add(&self, source: Source<N>) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    fn encode(
        &self,
        mut encoder: MetricEncoder<'_>,
        value: impl Fn(MetricEncoder<'_>, f64) -> fmt::Result,
    ) -> fmt::Result {
        let mut readings = Readings(BTreeMap::new());
        for source in self.sources.read().unwrap_or_else(PoisonError::into_inner).iter() {
            source(&mut readings);
        }
        for (values, reading) in readings.0 {
            value(encoder.encode_family(&labels(self.names, values))?, reading)?;
        }
        Ok(())
    }
}

impl<const N: usize> Clone for Read<N> {
    fn clone(&self) -> Self {
        Self { names: self.names, sources: Arc::clone(&self.sources) }
    }
}

impl<const N: usize> fmt::Debug for Read<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Read").field("labels", &self.names).finish_non_exhaustive()
    }
}

/// Counters that are read when they are scraped.
#[derive(Clone, Debug, Default)]
pub struct ReadCounters<const N: usize>(Option<Read<N>>);

/// Gauges that are read when they are scraped.
#[derive(Clone, Debug, Default)]
pub struct ReadGauges<const N: usize>(Option<Read<N>>);

impl<const N: usize> ReadCounters<N> {
    pub(crate) fn new(names: [&'static str; N]) -> Self {
        Self(Some(Read::new(names)))
    }

    /// Reads these too, at each scrape. A source is kept as long as the registry: it must not hold what is to be closed
    /// before, nor wait for anything.
    pub fn read(&self, source: impl Fn(&mut Readings<N>) + Send + Sync + 'static) {
        if let Some(read) = &self.0 {
            read.add(Box::new(source));
        }
    }
}

impl<const N: usize> ReadGauges<N> {
    pub(crate) fn new(names: [&'static str; N]) -> Self {
        Self(Some(Read::new(names)))
    }

    /// Reads these too, as [`ReadCounters::read`] does.
    pub fn read(&self, source: impl Fn(&mut Readings<N>) + Send + Sync + 'static) {
        if let Some(read) = &self.0 {
            read.add(Box::new(source));
        }
    }
}

impl<const N: usize> EncodeMetric for ReadCounters<N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        let Some(read) = &self.0 else { return Ok(()) };
        read.encode(encoder, |mut encoder, value| {
            encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

impl<const N: usize> EncodeMetric for ReadGauges<N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        let Some(read) = &self.0 else { return Ok(()) };
        read.encode(encoder, |mut encoder, value| encoder.encode_gauge(&value))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn what_is_read_is_what_there_is_at_the_scrape() {
        let registry = Registry::new();
        let (count, counted) = (std::sync::Arc::new(std::sync::atomic::AtomicU32::new(3)), 7);
        let of_gauge = std::sync::Arc::clone(&count);
        registry.read_gauges("a", "A", ["x"]).read(move |readings| {
            readings.add(["one"], of_gauge.load(std::sync::atomic::Ordering::Relaxed).into());
        });
        registry
            .read_counters("b_total", "B", [])
            .read(move |readings| readings.add([], counted.into()));
        assert!(registry.encode().contains("a{x=\"one\"} 3.0\n"), "{}", registry.encode());
        count.store(5, std::sync::atomic::Ordering::Relaxed);
        let encoded = registry.encode();
        assert!(
            encoded.contains("a{x=\"one\"} 5.0\n") && encoded.contains("b_total 7.0\n"),
            "{encoded}"
        );
    }

    #[test]
    fn two_sources_of_one_series_do_not_make_two() {
        let registry = Registry::new();
        for _ in 0..2 {
            registry.read_gauges("a", "A", []).read(|readings| readings.add([], 2.0));
        }
        assert!(registry.encode().contains("\na 4.0\n"), "{}", registry.encode());
    }
}
