//! Logs: one line a call, human-readable or JSON, each line of a saga with its saga id, step and trace id.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For a person's eyes.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which calls get a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
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
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| format!("the log filter {filter:?} cannot be read: {error}"))?;
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
