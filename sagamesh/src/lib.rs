//! The one binary, as a library: the whole mesh in one process, and the command line.
//!
//! The commands talk to a running mesh through the same gRPC API as everybody else.

pub mod mesh;
pub mod shop;

mod arguments;
mod backup;
mod command;
mod connect;
mod demo;
mod dev;
mod error;
mod output;
mod role;
mod timeline;

use std::{ffi::OsString, process::ExitCode, sync::mpsc, thread, time::Duration};

use clap::Parser;

use arguments::{Arguments, Command};

/// How long the end of the process waits for its last words to be read.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the command line; the code says how it came out.
pub async fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is no error, and goes to standard output; clap knows which.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let Arguments { global, command } = arguments;
    let ran = match command {
        // Boxed, because the mesh's future holds all five servers.
        Command::Dev(dev) => Box::pin(dev::run(dev)).await,
        Command::Order(order) => command::order::run(&global, order).await,
        Command::Saga(saga) => command::saga::run(&global, saga).await,
        Command::Definition(definition) => command::definition::run(&global, definition).await,
        Command::Check(check) => command::check::run(&global, check).await,
        Command::Backup(backup) => command::backup::backup(&global, backup).await,
        Command::Restore(restore) => command::backup::restore(&global, restore).await,
        Command::Config(config) => command::config::run(&global, config),
        Command::Role(role) => role::run(role).await,
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.code();
            tell(failure);
            ExitCode::from(code)
        }
    }
}

/// Says why, on standard error, and waits no longer than a while for somebody to read it: a process must end.
fn tell(failure: error::CommandError) {
    let (told, done) = mpsc::channel();
    let telling = thread::Builder::new().spawn(move || {
        anstream::eprint!("{failure}");
        // Nobody waits for it any more.
        let _ = told.send(());
    });
    if telling.is_ok() {
        let _ = done.recv_timeout(TELL_TIMEOUT);
    }
}
