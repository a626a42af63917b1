//! Logs: one line a call, human-readable or JSON, each line of a saga with its saga id, step and trace id.
//!
//! A log that nobody reads holds nobody up: lines are written by a thread of their own, those that find no room are dropped
//! and counted, and long ones are cut.

mod cut;
mod queue;
mod sample;

use std::{io::IsTerminal, panic, sync::OnceLock, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use self::queue::Queue;
pub(crate) use self::sample::{Sample, Samples};

/// How long the end of a process waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// A process has one log.
static QUEUE: OnceLock<Queue> = OnceLock::new();

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
    /// All of them; of those that decline, fail or are refused ten a second for each reason, with their count.
    All,
    /// Those that decline, fail, are refused or are slow, with the same limit.
    #[default]
    Notable,
}

/// What has been logged is written to the end when this is dropped, for a second at most.
#[derive(Debug)]
#[must_use = "dropped at once, it waits for nothing"]
pub struct Flush(());

impl Drop for Flush {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits until what has been logged is written, for a second at most.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

/// How many lines were dropped since the process began, because standard error did not take them in time.
#[must_use]
pub fn dropped_lines() -> u64 {
    QUEUE.get().map_or(0, Queue::dropped)
}

/// Starts logging to standard error. `filter` is in `tracing`'s notation, for example `info,orchestrator=debug`. Panics are
/// logged from then on.
///
/// # Errors
/// A sentence when `filter` cannot be read or logging was started before.
pub fn start(format: Format, filter: &str) -> Result<Flush, String> {
    let filter = read_filter(filter)?;
    let queue = Queue::to_stderr().map_err(|error| format!("nothing can be logged: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_writer(queue.clone()).with_ansi(colours)).try_init()
        }
        Format::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false);
            registry.with(layer.with_writer(queue.clone())).try_init()
        }
    }
    .map_err(|error| error.to_string())?;
    // Logging is started once, or the line above has failed.
    let _ = QUEUE.set(queue);
    // The hook that is there writes to standard error by itself, and waits for it.
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(at, why, "a panic");
    }));
    Ok(Flush(()))
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
