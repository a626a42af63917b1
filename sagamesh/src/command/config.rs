//! `sagamesh config`: what a role is configured by, without starting it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use facade::config::{self, Setting, Sources, reference};

use crate::{
    arguments::{Format, Global},
    error::{CommandError, CommandResult, UNEXPECTED},
    mesh, output,
};

const EXAMPLES: &str = "\
Examples:
  sagamesh config check orchestrator --config orchestrator.yaml
  SAGAMESH__LIMITS__MAX_RUNNING=500 sagamesh config show orchestrator --config orchestrator.yaml
  sagamesh config reference dev";

/// Settings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell what is wrong with the settings of a role, or that they are sound
    #[command(after_help = EXAMPLES)]
    Check(Source),
    /// Show every setting of a role, and where its value came from; what came from a file of its own is hidden
    #[command(after_help = EXAMPLES)]
    Show(Source),
    /// List every setting with its default and what it is, as Markdown
    #[command(after_help = EXAMPLES)]
    Reference {
        /// The role; all of them where none is named
        role: Option<Role>,
    },
}

/// Where the settings come from, beside the environment.
#[derive(Debug, Args)]
struct Source {
    /// The role
    role: Role,
    /// Its config file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Whose settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// The orchestrator
    Orchestrator,
    /// A service: order, stock, points or payment
    #[value(aliases = ["order", "stock", "points", "payment"])]
    Service,
    /// The whole mesh in one process
    Dev,
}

pub(crate) fn run(global: &Global, config: Config) -> CommandResult {
    match config.verb {
        Verb::Check(source) => {
            let settings = load(source)?;
            match global.output {
                Format::Table => anstream::println!("sound: {} settings", settings.len()),
                Format::Json => anstream::println!("[]"),
            }
        }
        Verb::Show(source) => show(global, &load(source)?)?,
        Verb::Reference { role } => anstream::print!("{}", reference(role)),
    }
    Ok(())
}

fn load(Source { role, config }: Source) -> CommandResult<Vec<Setting>> {
    fn settings<C: config::Config>(sources: &Sources) -> Result<Vec<Setting>, String> {
        sources.load(&C::default()).map(|loaded| loaded.settings)
    }
    let sources = Sources::of_process(config);
    let settings = match role {
        Role::Orchestrator => settings::<orchestrator::Config>(&sources),
        Role::Service => settings::<config::Service>(&sources),
        Role::Dev => settings::<mesh::Config>(&sources),
    };
    Ok(settings?)
}

fn show(global: &Global, settings: &[Setting]) -> CommandResult {
    if global.output == Format::Json {
        let text = serde_json::to_string_pretty(settings)
            .map_err(|error| CommandError::new(UNEXPECTED, error.to_string()))?;
        anstream::println!("{text}");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = settings
        .iter()
        .map(|Setting { path, value, origin }| vec![path.clone(), value.clone(), origin.clone()])
        .collect();
    output::table(&["SETTING", "VALUE", "FROM"], &rows);
    Ok(())
}

/// The reference of a role, or of all.
fn reference(role: Option<Role>) -> String {
    const ABOUT: &str = "\
# Settings

Defaults are overridden by the config file (`--config`), that by the environment, that by flags. The variable of
`limits.max_running` is `SAGAMESH__LIMITS__MAX_RUNNING`: a level is two underscores, and the value is written as in the file.
`SAGAMESH__LIMITS__MAX_RUNNING_FILE` names a file that holds it, which is how secrets come. `sagamesh config check ROLE` says
what is wrong with them, `sagamesh config show ROLE` where each came from.

This page is written by `sagamesh config reference`.
";
    let table = |role| match role {
        Role::Orchestrator => reference::table(&orchestrator::Config::default()),
        Role::Service => reference::table(&config::Service::default()),
        Role::Dev => reference::table(&mesh::Config::default()),
    };
    if let Some(role) = role {
        return table(role);
    }
    let titles = [
        ("Orchestrator", Role::Orchestrator),
        ("A service: order, stock, points, payment", Role::Service),
        ("The whole mesh: `sagamesh dev`", Role::Dev),
    ];
    let sections = titles.map(|(title, role)| format!("\n## {title}\n\n{}", table(role)));
    format!("{ABOUT}{}", sections.concat())
}
