//! `sagamesh saga start`.

use std::io::Read;

use clap::Args;
use proto::saga::v1::StartSagaRequest;

use super::{Client, wait};
use crate::{
    arguments::{Format, Global},
    connect::{request, success},
    error::{CommandError, CommandResult},
    output,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sagamesh saga start book-room --key trip-1 --input '{\"guest\": \"ada\", \"nights\": 2}' --wait
  sagamesh saga start book-room --key trip-2 --input @trip.json
  echo '{}' | sagamesh saga start nightly --key 2026-11-21 --input -";

#[derive(Debug, Args)]
pub(super) struct Start {
    /// The definition's name
    definition: String,
    /// The idempotency key; left out where the definition makes its own
    #[arg(long, default_value = "")]
    key: String,
    /// The saga's request as JSON; @FILE reads a file, - reads standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    input: String,
    /// The definition's version; the newest when it is left out
    #[arg(long, default_value_t = 0)]
    version: u32,
    /// Wait until it has ended, or needs a person or is paused; the exit code says which
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(global: &Global, client: &mut Client, start: Start) -> CommandResult {
    let message = StartSagaRequest {
        definition: start.definition,
        version: start.version,
        key: start.key,
        input_json: read(&start.input)?,
    };
    let answer = client.start_saga(request(global, message)).await;
    let started = success("the saga was not started", global, answer)?;
    if !start.wait {
        if global.output == Format::Json {
            return output::json(&started);
        }
        let already = if started.already_started { "yes" } else { "no" };
        let row =
            vec![started.saga_id.clone(), output::saga_state(started.state()), already.to_owned()];
        output::table(&["SAGA", "STATE", "STARTED BEFORE"], &[row]);
        return Ok(());
    }
    wait::run(global, client, started.saga_id).await
}

/// The input itself, a file's, or standard input's.
fn read(input: &str) -> CommandResult<String> {
    let failed = |what: &str, error: std::io::Error| {
        CommandError::new(2, format!("{what} cannot be read")).with_reason(error.to_string())
    };
    if input == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| failed("standard input", error))?;
        return Ok(text);
    }
    match input.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|error| failed(file, error)),
        None => Ok(input.to_owned()),
    }
}
