//! `sagamesh check`.

use std::path::PathBuf;

use clap::Args;

use crate::{
    arguments::Participants,
    failure::{Failure, Outcome},
};

const EXAMPLES: &str = "\
Every problem is told at once, with file, line, column and cure.

Examples:
  sagamesh check place-order.yaml
  sagamesh check book-room.yaml --participant hotel.v1.HotelService=127.0.0.1:50051
  sagamesh check book-room.yaml --descriptors hotel.proto";

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
}

pub(crate) async fn run(check: Check) -> Outcome {
    let Check { file, participants, descriptors } = check;
    match orchestrator::check::file(&file, &participants.participants, &descriptors).await {
        Ok(sound) => {
            anstream::println!("{sound}");
            Ok(())
        }
        Err(problems) => {
            for problem in &problems {
                anstream::println!("{problem}");
            }
            let count = problems.len();
            Err(Failure::new(
                1,
                format!(
                    "{} has {count} problem{}",
                    file.display(),
                    if count == 1 { "" } else { "s" }
                ),
            ))
        }
    }
}
