//! Where the spans of a test's process go.

use std::{
    sync::{LazyLock, Mutex},
    time::Duration,
};

use collector::Collector;
use facade::{
    config::{Loaded, Log, Telemetry, telemetry::SampleRatio},
    log::Flush,
    process::{Instrumentation, start_log},
};

/// The process' one collector, which spans are sent to from the first call on: those of callers who sample, and no others.
pub fn collector() -> &'static Collector {
    static STARTED: LazyLock<(Collector, Mutex<Flush>)> = LazyLock::new(|| {
        let collector = Collector::start();
        let telemetry = Telemetry {
            otlp: Some(collector.address().to_string().parse().unwrap()),
            sample: SampleRatio::try_from(0.0).unwrap(),
            ..Telemetry::default()
        };
        let loaded = Loaded { config: (), settings: Vec::new(), warnings: Vec::new() };
        let instrumentation = Instrumentation {
            service: "sagamesh-test",
            log: &Log { filter: "error".to_owned(), ..Log::default() },
            telemetry: &telemetry,
            stop_timeout: Duration::from_secs(8),
        };
        (collector, Mutex::new(start_log(&loaded, instrumentation).unwrap()))
    });
    &STARTED.0
}
