//! `sagamesh definition`.

mod drift;

use clap::{Args, Subcommand};

use crate::{arguments::Global, error::CommandResult};

/// Definitions.
#[derive(Debug, Args)]
pub(crate) struct Definition {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how participants' contracts differ from what definitions were checked against
    #[command(after_help = drift::EXAMPLES)]
    Drift(drift::Drift),
}

pub(crate) async fn run(global: &Global, definition: Definition) -> CommandResult {
    match definition.verb {
        Verb::Drift(wanted) => drift::run(global, wanted).await,
    }
}
