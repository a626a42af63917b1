//! `sagamesh check`.

use std::path::PathBuf;

use clap::Args;
use definition::Problem;

use crate::{
    arguments::{Format, Global, Participants},
    error::{CommandError, CommandResult, UNEXPECTED},
    output::escaped_lines,
};

const EXAMPLES: &str = "\
Every problem is told at once, with file, line, column and cure; with -o json as a list of objects.

Examples:
  sagamesh check place-order.yaml
  sagamesh check book-room.yaml --participant hotel.v1.HotelService=127.0.0.1:50051
  sagamesh check book-room.yaml --descriptors hotel.proto
  sagamesh check book-room.yaml --descriptors proto/hotel/v1/hotel.proto --import-root proto --import-root vendor";

/// Checks a definition.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The definition
    file: PathBuf,
    #[command(flatten)]
    participants: Participants,
    /// A .proto file or descriptor set, for participants without reflection; may be repeated
    #[arg(long, value_name = "FILE")]
    descriptors: Vec<PathBuf>,
    /// A folder that the imports of .proto files begin at; may be repeated
    #[arg(long, value_name = "FOLDER")]
    import_root: Vec<PathBuf>,
}

fn as_json(problems: &[Problem]) -> CommandResult<String> {
    serde_json::to_string_pretty(problems).map_err(|error| {
        CommandError::new(UNEXPECTED, format!("the problems are no JSON: {error}"))
    })
}

pub(crate) async fn run(global: &Global, check: Check) -> CommandResult {
    let Check { file, participants, descriptors, import_root } = check;
    let participants = participants.by_service();
    match orchestrator::check::file(&file, &participants, &descriptors, &import_root).await {
        Ok(sound) => {
            match global.output {
                Format::Table => anstream::println!("{sound}"),
                Format::Json => anstream::println!("[]"),
            }
            Ok(())
        }
        Err(problems) => {
            match global.output {
                Format::Table => {
                    let shown =
                        |problem: &dyn std::fmt::Display| escaped_lines(&problem.to_string());
                    problems.iter().for_each(|problem| anstream::println!("{}", shown(problem)));
                }
                Format::Json => anstream::println!("{}", as_json(&problems)?),
            }
            let count = problems.len();
            Err(CommandError::new(
                UNEXPECTED,
                format!(
                    "{} has {count} problem{}",
                    file.display(),
                    if count == 1 { "" } else { "s" }
                ),
            ))
        }
    }
}
