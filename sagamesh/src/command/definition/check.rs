//! `sagamesh definition check`, which `sagamesh check` is too.

use std::path::PathBuf;

use clap::Args;
use definition::Problem;
use proto::saga::v1::{Definition, DefinitionProblem, DefinitionState};

use super::{
    Client, client,
    offer::{Contracts, Offer},
};
use crate::{
    arguments::{Format, Global, Participants},
    connect::{request, success},
    error::{CommandError, CommandResult, UNEXPECTED},
    output::escaped_lines,
};

pub(crate) const EXAMPLES: &str = "\
Every problem is told at once, with file, line, column and cure; with -o json as a list of objects. With --node the node checks
them as it would before it registers them, with the participants that it knows.

Examples:
  sagamesh definition check place-order.yaml
  sagamesh definition check book-room.yaml --participant hotel.v1.HotelService=127.0.0.1:50051
  sagamesh definition check book-room.yaml --descriptors hotel.proto
  sagamesh definition check book-room.yaml --descriptors proto/hotel/v1/hotel.proto --import-root proto --import-root vendor
  sagamesh definition check sagas/*.yaml --node";

/// Checks definitions.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The definitions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    participants: Participants,
    #[command(flatten)]
    contracts: Contracts,
    /// Have the node at --server check them
    #[arg(long, conflicts_with = "participants")]
    node: bool,
}

pub(crate) async fn run(global: &Global, check: Check) -> CommandResult {
    let Check { files, participants, contracts, node } = check;
    let participants = participants.by_service();
    let (mut sound, mut problems) = (Vec::new(), Vec::new());
    for file in &files {
        let checked = match node {
            true => match Offer::read(file, &contracts) {
                Ok(offer) => {
                    let Checked { sentence, problems } =
                        ask(global, &mut client(global)?, &offer).await?;
                    if problems.is_empty() { Ok(sentence) } else { Err(problems) }
                }
                Err(problems) => Err(problems),
            },
            false => {
                let Contracts { descriptors, import_root } = &contracts;
                orchestrator::check::file(file, &participants, descriptors, import_root).await
            }
        };
        match checked {
            Ok(sentence) => sound.push(sentence),
            Err(found) => problems.extend(found),
        }
    }
    if global.output == Format::Table {
        sound.iter().for_each(|sentence| anstream::println!("{}", escaped_lines(sentence)));
    }
    report(global, &files, &problems)
}

/// What a node says of a definition.
pub(super) struct Checked {
    /// Where it is sound.
    pub(super) sentence: String,
    pub(super) problems: Vec<Problem>,
}

/// Asks the node about a definition.
pub(super) async fn ask(
    global: &Global,
    client: &mut Client,
    offer: &Offer,
) -> CommandResult<Checked> {
    let what = format!("{} was not checked", offer.file);
    let answer = client.check_definition(request(global, offer.check())).await;
    let checked = success(&what, global, answer)?;
    let definition = checked.definition.unwrap_or_default();
    let standing = match (checked.already_registered, definition.state()) {
        (true, DefinitionState::Archived) => "is registered, and archived",
        (true, _) => "is registered",
        (false, _) => "is sound, and can be registered",
    };
    let Definition { name, version, problems, .. } = definition;
    let sentence = format!("{}: {name} version {version} {standing}", offer.file);
    Ok(Checked { sentence, problems: problems.into_iter().map(problem).collect() })
}

pub(super) fn problem(told: DefinitionProblem) -> Problem {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let DefinitionProblem { file, line, column, what, cure } = told;
    Problem { file, line: number(line), column: number(column), what, cure }
}

/// Shows the problems, and fails where there are some.
pub(super) fn report(global: &Global, files: &[PathBuf], problems: &[Problem]) -> CommandResult {
    match global.output {
        Format::Table => problems
            .iter()
            .for_each(|problem| anstream::println!("{}", escaped_lines(&problem.to_string()))),
        Format::Json => anstream::println!("{}", as_json(problems)?),
    }
    let count = match problems.len() {
        0 => return Ok(()),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let what = match files {
        [file] => format!("{} has {count}", file.display()),
        files => format!("{} files have {count}", files.len()),
    };
    Err(CommandError::new(UNEXPECTED, what))
}

fn as_json(problems: &[Problem]) -> CommandResult<String> {
    serde_json::to_string_pretty(problems).map_err(|error| {
        CommandError::new(UNEXPECTED, format!("the problems are no JSON: {error}"))
    })
}
