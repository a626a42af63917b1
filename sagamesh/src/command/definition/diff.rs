//! `sagamesh definition diff`.

use std::path::PathBuf;

use clap::Args;
use definition::{Draft, load};
use proto::saga::v1::{DefinitionState, GetDefinitionRequest};
use similar::TextDiff;

use super::{check::report, client};
use crate::{
    arguments::{Format, Global},
    connect::{request, success},
    error::{CommandError, CommandResult},
    output::escaped_lines,
};

/// Lines that are the same, before and behind those that differ.
const CONTEXT_LINES: usize = 3;
const NOT_FOUND: u8 = 3;

pub(super) const EXAMPLES: &str = "\
The registered text is the old one, the file the new one. With -o json: what is compared, and the difference as one text, which is
empty where there is none.

Examples:
  sagamesh definition diff book-room.yaml
  sagamesh definition diff book-room.yaml -o json";

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The definition
    file: PathBuf,
}

#[derive(serde::Serialize)]
struct Compared {
    file: String,
    name: String,
    file_version: u32,
    registered_version: u32,
    diff: String,
}

pub(super) async fn run(global: &Global, Diff { file: path }: Diff) -> CommandResult {
    let file = path.display().to_string();
    let read = load::read_source(&path)
        .and_then(|source| Draft::parse(&file, &source).map(|draft| (draft, source)));
    let (draft, source) = match read {
        Ok(read) => read,
        Err(problems) => return report(global, &[path], &problems),
    };
    let name = draft.name().to_owned();
    let message = GetDefinitionRequest { name: name.clone(), version: 0 };
    let answer = client(global)?.get_definition(request(global, message)).await;
    // Compared as it is, and escaped when it is shown.
    let old = answer.as_ref().ok().and_then(|answer| answer.get_ref().definition.clone());
    success("there is nothing to compare the file with", global, answer)?;
    let old = old.unwrap_or_default();
    if !matches!(old.state(), DefinitionState::Registered | DefinitionState::Archived) {
        let why = format!("no version of {name} is registered");
        return Err(CommandError::new(NOT_FOUND, "there is nothing to compare the file with")
            .with_reason(why)
            .with_next_step("sagamesh definition list shows what is registered"));
    }
    let diff = TextDiff::from_lines(&old.source, &source)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&format!("{name} version {}, as registered", old.version), &file)
        .to_string();
    let compared = Compared {
        file,
        name,
        file_version: draft.version(),
        registered_version: old.version,
        diff: if old.source == source { String::new() } else { diff },
    };
    show(global, &compared)
}

fn show(global: &Global, compared: &Compared) -> CommandResult {
    let Compared { file, name, registered_version, diff, .. } = compared;
    match global.output {
        Format::Json => {
            let json = serde_json::to_string_pretty(compared);
            let json = json.map_err(|error| CommandError::from(error.to_string()))?;
            anstream::println!("{}", crate::output::escaped_json(&json));
        }
        Format::Table if diff.is_empty() => anstream::println!(
            "{}",
            escaped_lines(&format!(
                "{file} is what is registered as {name} version {registered_version}"
            ))
        ),
        Format::Table => anstream::print!("{}", escaped_lines(diff)),
    }
    Ok(())
}
