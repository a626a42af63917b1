//! `sagamesh definition`.

pub(crate) mod check;
mod diff;
mod drift;
mod offer;
mod register;

use anstyle::AnsiColor;
use clap::{Args, Subcommand};
use definition::Problem;
use proto::saga::v1::{
    ArchiveDefinitionRequest, Definition as Shown, DefinitionState, GetDefinitionRequest,
    ListDefinitionsRequest, UnarchiveDefinitionRequest, saga_service_client::SagaServiceClient,
};
use tonic::transport::Channel;

use crate::{
    arguments::{Format, Global},
    connect::{self, request, success},
    error::{CommandError, CommandResult, UNEXPECTED},
    output,
};

/// Definitions.
#[derive(Debug, Args)]
pub(crate) struct Definition {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the registered definitions, and the node's files that are not registered, with what is wrong
    #[command(
        after_help = "Examples:\n  sagamesh definition list\n  sagamesh definition list -o json"
    )]
    List,
    /// Show a definition's source
    #[command(
        after_help = "Examples:\n  sagamesh definition get place-order\n  sagamesh definition get place-order --version 1"
    )]
    Get(Named),
    /// Check definitions without registering them
    #[command(after_help = check::EXAMPLES)]
    Check(check::Check),
    /// Register definitions: sagas begin by them from then on
    #[command(after_help = register::EXAMPLES)]
    Register(register::Register),
    /// Show what differs between a file and the newest registered version
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Diff),
    /// Show how participants' contracts differ from what definitions were checked against
    #[command(after_help = drift::EXAMPLES)]
    Drift(drift::Drift),
    /// Begin no saga by a definition any more; those that run go on
    #[command(
        after_help = "Examples:\n  sagamesh definition archive book-room\n  sagamesh definition archive book-room --version 2 --reason 'the house is closed'"
    )]
    Archive(Archive),
    /// Let sagas begin by an archived definition again
    #[command(after_help = "Example:\n  sagamesh definition unarchive book-room")]
    Unarchive(Named),
}

/// A definition by its name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its name
    name: String,
    /// Its version; where it is left out, the newest is shown, and all are archived
    #[arg(long, default_value_t = 0)]
    version: u32,
}

/// What is archived, and why.
#[derive(Debug, Args)]
pub(crate) struct Archive {
    #[command(flatten)]
    named: Named,
    /// Why, for those who wonder; it is shown with the definition
    #[arg(long, default_value = "")]
    reason: String,
}

const HEADS: [&str; 6] = ["DEFINITION", "VERSION", "STATE", "SERVES", "HASH", "FILE"];

type Client = SagaServiceClient<Channel>;

fn client(global: &Global) -> CommandResult<Client> {
    Ok(Client::new(connect::orchestrator(global)?))
}

pub(crate) async fn run(global: &Global, definition: Definition) -> CommandResult {
    match definition.verb {
        Verb::List => list(global).await,
        Verb::Get(wanted) => get(global, wanted).await,
        Verb::Check(check) => check::run(global, check).await,
        Verb::Register(register) => register::run(global, register).await,
        Verb::Diff(diff) => diff::run(global, diff).await,
        Verb::Drift(wanted) => drift::run(global, wanted).await,
        Verb::Archive(Archive { named: Named { name, version }, reason }) => {
            let message = ArchiveDefinitionRequest { name, version, reason };
            let answer = client(global)?.archive_definition(request(global, message)).await;
            let answer = success("the definition was not archived", global, answer)?;
            show(global, &answer, answer.definition.as_ref())
        }
        Verb::Unarchive(Named { name, version }) => {
            let message = UnarchiveDefinitionRequest { name, version };
            let answer = client(global)?.unarchive_definition(request(global, message)).await;
            let answer = success("the definition was not unarchived", global, answer)?;
            show(global, &answer, answer.definition.as_ref())
        }
    }
}

/// Lists every definition.
pub(crate) async fn list(global: &Global) -> CommandResult {
    let answer = client(global)?
        .list_definitions(request(
            global,
            ListDefinitionsRequest { page_size: 1000, ..ListDefinitionsRequest::default() },
        ))
        .await;
    let found = success("the definitions were not listed", global, answer)?;
    if global.output == Format::Json {
        return output::json(&found);
    }
    table(&found.definitions);
    if !found.next_page_token.is_empty() {
        anstream::eprintln!("there are more than are listed here");
    }
    Ok(())
}

/// Shows the source of one.
pub(crate) async fn get(global: &Global, Named { name, version }: Named) -> CommandResult {
    let message = GetDefinitionRequest { name, version };
    let answer = client(global)?.get_definition(request(global, message)).await;
    // The source has lines of its own.
    let source = match &answer {
        Ok(response) => response.get_ref().definition.as_ref(),
        Err(_) => None,
    };
    let source = source.map(|definition| definition.source.clone()).unwrap_or_default();
    let found = success("the definition was not found", global, answer)?;
    if global.output == Format::Json {
        return output::json(&found);
    }
    match found.definition {
        // One that is not registered has no source here, but its problems.
        Some(definition) if source.is_empty() => {
            table(std::slice::from_ref(&definition));
        }
        definition => {
            let input = definition.map(|definition| definition.input).unwrap_or_default();
            anstream::eprintln!("input: {input}");
            anstream::print!("{}", output::escaped_lines(&source));
        }
    }
    Ok(())
}

fn show(global: &Global, answer: &impl prost::Name, definition: Option<&Shown>) -> CommandResult {
    if global.output == Format::Json {
        return output::json(answer);
    }
    let missing = || CommandError::new(UNEXPECTED, "the answer has no definition");
    table(std::slice::from_ref(definition.ok_or_else(missing)?));
    Ok(())
}

/// The definitions, and under them why some are archived, and what is wrong with those that are not registered.
fn table(definitions: &[Shown]) {
    let rows: Vec<Vec<String>> = definitions.iter().map(row).collect();
    output::table(&HEADS, &rows);
    let archived = definitions.iter().filter(|definition| !definition.archive_reason.is_empty());
    for Shown { name, version, archive_reason, .. } in archived {
        let line = format!("{name} version {version} is archived: {archive_reason}");
        anstream::println!("{}", output::escaped(&line));
    }
    let problems = definitions.iter().flat_map(|definition| &definition.problems);
    let problems: Vec<Problem> = problems.cloned().map(check::problem).collect();
    if !problems.is_empty() {
        anstream::println!();
    }
    problems.iter().for_each(|problem| anstream::println!("{problem}"));
}

fn row(definition: &Shown) -> Vec<String> {
    let version = match definition.version {
        0 => String::new(),
        version => version.to_string(),
    };
    vec![
        definition.name.clone(),
        version,
        state(definition.state()),
        definition.served_method.clone(),
        definition.hash.chars().take(12).collect(),
        definition.file.clone(),
    ]
}

fn state(state: DefinitionState) -> String {
    let name = state.as_str_name().trim_start_matches("DEFINITION_STATE_");
    output::paint(
        name,
        match state {
            DefinitionState::Registered => AnsiColor::Green,
            DefinitionState::Pending => AnsiColor::Yellow,
            DefinitionState::Refused => AnsiColor::Red,
            DefinitionState::Archived | DefinitionState::Unspecified => AnsiColor::BrightBlack,
        },
    )
}
