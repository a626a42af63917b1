//! Logs: one line a call, human-readable or JSON, each line of a call or a saga with its ids ([`Scope`]).
//!
//! A log that nobody reads holds nobody up: lines are written by a thread of their own, those that find no room are dropped
//! and counted, and long ones are cut.

mod cut;
mod queue;
mod sample;
mod scope;

use std::{
    io::{self, IsTerminal},
    panic,
    sync::OnceLock,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub(crate) use self::sample::{Sample, Samples};
pub use self::scope::{Fields, Scope, Scoped};
use self::{queue::Queue, scope::WithScope};
use crate::trace;

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

/// What has been logged is written to the end when this is dropped, for a second at most, and the last spans are sent before
/// it.
#[derive(Debug)]
#[must_use = "dropped at once, it waits for nothing"]
pub struct Flush {
    spans: Option<trace::Flush>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        // What goes wrong with them is logged.
        drop(self.spans.take());
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
    start_with(format, filter, None, Duration::ZERO)
}

/// The same, with the export of spans where there is one; the last of them have so long at the end.
pub(crate) fn start_with(
    format: Format,
    filter: &str,
    spans: Option<trace::Pending>,
    flush_timeout: Duration,
) -> Result<Flush, String> {
    let filter = read_filter(filter)?;
    let queue = Queue::to_stderr().map_err(|error| format!("nothing can be logged: {error}"))?;
    let colours = format == Format::Text && io::stderr().is_terminal();
    let lines = tracing_subscriber::registry()
        .with(layer(format, colours, queue.clone()).with_filter(filter));
    match &spans {
        Some(spans) => lines.with(spans.layer()).try_init(),
        // A layer that is none would have every line that is filtered out looked at again each time.
        None => lines.try_init(),
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
    let spans = spans.map(|spans| spans.begin(flush_timeout)).transpose()?;
    Ok(Flush { spans })
}

/// Writes log lines to `writer` as those of a process are.
pub fn layer<S, W>(format: Format, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match format {
        Format::Text => {
            let inner = fmt::format().with_ansi(colours);
            lines.with_ansi(colours).event_format(WithScope { inner, format }).boxed()
        }
        Format::Json => {
            let inner = fmt::format()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            let fields = fmt::format::JsonFields::new();
            lines.event_format(WithScope { inner, format }).fmt_fields(fields).boxed()
        }
    }
}

/// Reads a filter in `tracing`'s notation.
///
/// # Errors
/// A sentence when it cannot be read.
pub(crate) fn read_filter(filter: &str) -> Result<EnvFilter, String> {
    let read = EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} cannot be read: {error}; write one like info,orchestrator=debug")
    })?;
    // Spans are for whoever they are exported to: a line has the ids of its scope.
    let without_spans = format!("{}=off", trace::TARGET).parse();
    Ok(match without_spans {
        Ok(directive) => read.add_directive(directive),
        Err(_) => read,
    })
}
