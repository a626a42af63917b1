//! The way of spans to a collector, by OTLP over gRPC.
//!
//! They are sent by a thread with a runtime of its own: it goes on while the process' event loop is held, and to the end of
//! the process. A collector that is slow, away or broken costs the spans that find no room in the queue, and nothing else.

use std::{
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use clock::Clock;
use opentelemetry::{
    InstrumentationScope, Key, KeyValue,
    trace::{TraceId, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{
        EnvResourceDetector, ResourceDetector, SdkProvidedResourceDetector,
        TelemetryResourceDetector,
    },
    trace::{
        IdGenerator, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanData,
        SpanExporter as _,
    },
};
use tokio::{runtime, sync::oneshot};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    registry::LookupSpan,
};

use super::{
    ids::GivenIds,
    queue::{BATCH_SPANS, DroppedSpans, Queue},
};
use crate::{
    config::telemetry::{OtlpAddress, SampleRatio, Telemetry},
    echo,
};

/// The target of the spans that are exported, and of no others.
pub(crate) const TARGET: &str = "sagamesh::span";
/// How long spans wait for others to be sent with them.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long a batch may take, repeated attempts included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Log lines that a span has with it.
const MAX_EVENTS: u32 = 32;
/// What these spans are made by.
const SCOPE: &str = "sagamesh";
/// What the SDK's name of a process begins with whose environment does not name it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// A process exports its spans to one place, or to none.
static EXPORT: OnceLock<Export> = OnceLock::new();

/// How many spans the collector has taken since the process began.
#[must_use]
pub fn exported_spans() -> u64 {
    Export::get().map_or(0, |export| export.queue.exported())
}

/// How many spans were dropped since the process began.
#[must_use]
pub fn dropped_spans() -> DroppedSpans {
    Export::get().map(|export| export.queue.dropped()).unwrap_or_default()
}

/// That spans are exported, and which.
#[derive(Debug)]
pub(crate) struct Export {
    queue: Queue,
    ratio: SampleRatio,
    scope: InstrumentationScope,
}

impl Export {
    /// `None` where spans are not exported.
    pub(crate) fn get() -> Option<&'static Self> {
        EXPORT.get()
    }

    /// Whether a new trace of this id is sampled. Other SDKs decide the same by the same ratio.
    pub(super) fn samples(&self, trace_id: TraceId) -> bool {
        const RANGE: f64 = (1_u64 << 63) as f64;
        let [.., a, b, c, d, e, f, g, h] = trace_id.to_bytes();
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        (number as f64) < self.ratio.get() * RANGE
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn scope(&self) -> &InstrumentationScope {
        &self.scope
    }
}

/// The export of a process' spans before it has begun: its log is started in between.
#[derive(Debug)]
pub(crate) struct Pending {
    address: OtlpAddress,
    resource: Resource,
    export: Export,
    tracer: SdkTracer,
}

impl Pending {
    /// `None` where the settings name no address. `service` is what the process is called by.
    pub(crate) fn new(service: &str, telemetry: &Telemetry) -> Option<Self> {
        let address = telemetry.otlp.clone()?;
        let scope =
            InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        let queue = Queue::default();
        let provider = SdkTracerProvider::builder()
            .with_id_generator(GivenIds)
            // Whether a trace is exported is decided before a span is built.
            .with_sampler(Sampler::AlwaysOn)
            .with_max_events_per_span(MAX_EVENTS)
            .with_span_processor(queue.clone())
            .build();
        let tracer = provider.tracer_with_scope(scope.clone());
        let export = Export { queue, ratio: telemetry.sample, scope };
        Some(Self { address, resource: resource(service), export, tracer })
    }

    /// What makes spans of `tracing` spans of OpenTelemetry: those that [`super::Live`] opens, with the log lines of
    /// services within them. Messages are logged below the level info, so none of them gets there.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(filter_fn(is_told).with_max_level_hint(LevelFilter::INFO))
    }

    /// Begins to export. What is in the queue at the end of the process has `flush_timeout` to be sent.
    ///
    /// # Errors
    /// A sentence where no thread can be started, the client cannot be made, or spans are exported already.
    pub(crate) fn begin(self, flush_timeout: Duration) -> Result<Flush, String> {
        let Self { address, resource, export, tracer: _ } = self;
        let failed = |why: String| format!("spans cannot be exported to {address}: {why}");
        let (begun, beginning) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (ended, end) = mpsc::channel();
        let (queue, to) = (export.queue.clone(), address.clone());
        let run = move || {
            let made = make(&to, &resource);
            let (runtime, exporter) = match made {
                Ok(made) => made,
                Err(why) => return drop(begun.send(Err(why))),
            };
            // Whoever waits for these has gone where they cannot be sent.
            let _ = begun.send(Ok(()));
            runtime.block_on(
                Sender { exporter, queue, address: to, clock: Clock::system(), is_failing: false }
                    .run(stopped),
            );
            let _ = ended.send(());
        };
        let thread = thread::Builder::new().name("spans".to_owned()).spawn(run);
        thread.map_err(|error| failed(error.to_string()))?;
        beginning.recv().map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        EXPORT.set(export).map_err(|_| failed("they are exported already".to_owned()))?;
        Ok(Flush { stop: Some(stop), end, timeout: flush_timeout })
    }
}

/// The facade's own lines say of a call what its span says, and sentences beside it that may repeat what a stranger wrote.
fn is_told(metadata: &Metadata<'_>) -> bool {
    match metadata.is_span() {
        true => metadata.target() == TARGET,
        false => *metadata.level() <= Level::INFO && !metadata.target().starts_with("facade::"),
    }
}

/// What a process is, to whoever reads its spans. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` count over what is
/// here.
fn resource(service: &str) -> Resource {
    let instance = RandomIdGenerator::default().new_trace_id().to_string();
    let name = Key::from_static_str("service.name");
    let told = SdkProvidedResourceDetector.detect().get(&name);
    let told = told.filter(|told| !told.as_str().starts_with(UNKNOWN_SERVICE));
    let builder = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance))
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match told {
        Some(told) => builder.with_service_name(told).build(),
        None => builder.build(),
    }
}

fn make(
    address: &OtlpAddress,
    resource: &Resource,
) -> Result<(runtime::Runtime, SpanExporter), String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let _entered = runtime.enter();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(address.url())
        .with_timeout(EXPORT_TIMEOUT)
        .build();
    let mut exporter = exporter.map_err(|error| error.to_string())?;
    exporter.set_resource(resource);
    drop(_entered);
    Ok((runtime, exporter))
}

/// Sends what is in the queue.
struct Sender {
    exporter: SpanExporter,
    queue: Queue,
    address: OtlpAddress,
    clock: Clock,
    is_failing: bool,
}

impl Sender {
    /// Sends until it is told to stop, and then what is left.
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        // Nothing, to find out whether somebody is there: a trace that is sampled may come late.
        let mut is_last = tokio::select! {
            () = self.send(Vec::new()) => false,
            _ = &mut stopped => true,
        };
        loop {
            if !is_last {
                is_last = tokio::select! {
                    () = self.queue.batch(&self.clock, BATCH_DELAY) => false,
                    _ = &mut stopped => true,
                };
            }
            loop {
                let spans = self.queue.take();
                let is_rest = spans.len() < BATCH_SPANS;
                if !spans.is_empty() {
                    self.send(spans).await;
                }
                if is_rest {
                    break;
                }
            }
            if is_last {
                return;
            }
        }
    }

    async fn send(&mut self, spans: Vec<SpanData>) {
        let count = spans.len();
        // Its own limit is of an attempt, and it makes several.
        let sent = self.clock.timeout(EXPORT_TIMEOUT, self.exporter.export(spans)).await;
        let failure = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it took longer than {} s", EXPORT_TIMEOUT.as_secs())),
        };
        self.queue.count(count, failure.is_none());
        let address = self.address.url();
        match &failure {
            Some(why) if !self.is_failing => tracing::warn!(
                address,
                why = &*echo::cut(why, echo::SENTENCE),
                "the collector takes no spans: they are dropped until it does; telemetry.otlp says where it is"
            ),
            None if self.is_failing => tracing::warn!(address, "the collector takes spans again"),
            _ => {}
        }
        self.is_failing = failure.is_some();
    }
}

/// The last spans are sent when this is dropped; they have so long.
#[derive(Debug)]
#[must_use = "dropped at once, the spans of what comes later are not sent"]
pub struct Flush {
    stop: Option<oneshot::Sender<()>>,
    end: mpsc::Receiver<()>,
    timeout: Duration,
}

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
            let _ = self.end.recv_timeout(self.timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ratio: f64) -> impl Fn(TraceId) -> bool {
        let ratio = SampleRatio::try_from(ratio).unwrap();
        let scope = InstrumentationScope::builder(SCOPE).build();
        let export = Export { queue: Queue::default(), ratio, scope };
        move |trace_id| export.samples(trace_id)
    }

    #[test]
    fn the_ratio_decides_about_a_new_trace_by_its_id() {
        let (none, some, all) = (samples(0.0), samples(0.05), samples(1.0));
        let least = TraceId::from(1_u128 << 64);
        let most = TraceId::from(u128::MAX);
        assert_eq!([none(least), none(most)], [false, false]);
        assert_eq!([some(least), some(most)], [true, false]);
        assert_eq!([all(least), all(most)], [true, true]);
        let ids = (0..10_000).map(|_| RandomIdGenerator::default().new_trace_id());
        let sampled = ids.filter(|id| some(*id)).count();
        assert!((300..700).contains(&sampled), "{sampled} of 10000");
    }
}
