//! The command line's words.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use facade::{dial::Address, process::OnLoss};
use orchestrator::config::{self, Participant};

use crate::{
    command::{
        backup::{Backup, Restore},
        check::Check,
        config::Config,
        definition::Definition,
        order::Order,
        saga::Saga,
    },
    dev::Dev,
    role::Role,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  ok                      7  the deadline passed
  1  it failed: see why      9  declined
  2  usage                  10  the saga that was waited for ended COMPENSATED
  3  not found              11  the saga that was waited for needs attention
  4  the state forbids it  130  interrupted
  6  nothing answers

Examples:
  sagamesh dev --demo
  sagamesh order place --user ada --line tea=2
  sagamesh saga list --state attention";

/// Keeps several gRPC services consistent.
#[derive(Debug, Parser)]
#[command(name = "sagamesh", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command that talks to a mesh takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The orchestrator's address
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "SAGAMESH_SERVER",
        default_value = "http://127.0.0.1:7070"
    )]
    pub(crate) server: String,
    /// How long an answer is waited for
    #[arg(long, global = true, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// For a person, or the API's own messages as JSON
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    Table,
    /// proto3 JSON, every field present.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process, on loopback, with SQLite files
    Dev(Dev),
    /// Place, cancel and look at orders
    Order(Order),
    /// Start, watch and steer sagas
    Saga(Saga),
    /// Compare definitions with their participants
    Definition(Definition),
    /// Check a definition without running it
    Check(Check),
    /// Copy the databases of a mesh, which may be running, as they all are at one moment
    Backup(Backup),
    /// Put the databases of a backup into a new data folder
    Restore(Restore),
    /// Check, show and look up the settings of a role
    Config(Config),
    #[command(flatten)]
    Role(Role),
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be a number of seconds, more than 0 and at most 86400".to_owned()),
    }
}

/// `package.Service=HOST:PORT`.
pub(crate) fn participant(text: &str) -> Result<(String, Address), String> {
    const CURE: &str = "must be SERVICE=ADDRESS, for example hotel.v1.HotelService=127.0.0.1:50051";
    match text.split_once('=') {
        Some((service, address)) if service.contains('.') => {
            Ok((service.to_owned(), address.parse()?))
        }
        _ => Err(CURE.to_owned()),
    }
}

/// A participant outside the process.
#[derive(Clone, Debug, Args)]
pub(crate) struct Participants {
    /// A service outside this process, for example hotel.v1.HotelService=127.0.0.1:50051; may be repeated
    #[arg(long = "participant", value_name = "SERVICE=ADDRESS", value_parser = participant)]
    participants: Vec<(String, Address)>,
}

impl Participants {
    /// As a config has them.
    pub(crate) fn by_service(self) -> config::Participants {
        let named = self.participants.into_iter();
        named.map(|(service, address)| (service, Participant::at(address))).collect()
    }
}

/// A config file.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigFile {
    /// A YAML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) accept: AcceptLoss,
}

/// What is done about databases of which something was lost.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct AcceptLoss {
    /// Start also where a database is missing, went back or is another one: go on from what is there. What was lost is
    /// logged
    #[arg(long)]
    accept_loss: bool,
}

impl AcceptLoss {
    pub(crate) fn on_loss(self) -> OnLoss {
        if self.accept_loss { OnLoss::Accept } else { OnLoss::Refuse }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_participant_is_a_service_and_an_address() {
        let (service, address) = participant("a.v1.B=h:1").unwrap();
        assert_eq!((service.as_str(), address.host_and_port()), ("a.v1.B", "h:1"));
        for broken in ["", "a.v1.B", "=h:1", "a.v1.B=h", "B=h:1"] {
            assert!(participant(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn every_command_shows_examples_in_its_help() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if !command.has_subcommands() {
                let help = command.clone().render_long_help().to_string();
                assert!(help.contains("Example"), "{path} has no example");
            }
            command.get_subcommands().for_each(|inner| walk(inner, &path));
        }
        walk(&Arguments::command(), "");
    }
}
