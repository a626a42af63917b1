//! Logs: one line a call, human-readable or JSON, each line of a saga with its saga id, step and trace id.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person's eyes.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which calls get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Calls {
    /// All of them.
    All,
    /// Those that decline, fail or are slow; of those that are refused for overload one a second, with their count.
    #[default]
    Notable,
}

/// Starts logging to standard error. `filter` is in `tracing`'s notation, for example `info,orchestrator=debug`.
///
/// # Errors
/// A sentence when `filter` cannot be read or logging was started before.
pub fn start(format: Format, filter: &str) -> Result<(), String> {
    let filter = read_filter(filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
        }
        Format::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    }
    .map_err(|error| error.to_string())
}

/// Reads a filter in `tracing`'s notation.
///
/// # Errors
/// A sentence when it cannot be read.
pub(crate) fn read_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} cannot be read: {error}; write one like info,orchestrator=debug")
    })
}

/// How long after a line about overload there is no other. Under more load than there is room for, a line a call would
/// cost more than the refusal that it tells of.
const OVERLOAD_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Calls, or connections, that were refused because there was too much to do.
#[derive(Debug, Default)]
pub(crate) struct Overload {
    refused: AtomicU64,
    last_line: AtomicU64,
}

impl Overload {
    /// Counts one. Gives how many there are since the last line, when it is time for the next.
    pub(crate) fn refused(&self, now: Timestamp) -> Option<u64> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let last = self.last_line.load(Ordering::Relaxed);
        let due = last == 0 || now.since(Timestamp(last)) >= OVERLOAD_LOG_INTERVAL;
        // Of two calls that come at the same time, one writes the line.
        let mine = due
            && self
                .last_line
                .compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        mine.then(|| self.refused.swap(0, Ordering::Relaxed))
    }
}
