//! Services in a process: their folder, their databases, and a process that is one service alone.

use std::{
    fs::DirBuilder,
    num::NonZero,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clock::Clock;
use store::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{OnLoss, Process, Signals, join_databases};
use crate::{
    Facade,
    budget::Budget,
    config::{self, Loaded},
    listener, log,
    readiness::Readiness,
    server::{Mount, Server},
    trace,
    wire::causes,
};

/// Which part of the time that a process may take to end is left to its last spans.
const FLUSH_PART: u32 = 4;

/// Makes a role's data folder, for this user alone. One that is there stays as it is; where others may write to it, a line
/// in the log says so.
///
/// # Errors
/// A sentence with the cure.
pub fn prepare_folder(folder: &Path) -> Result<(), String> {
    const OTHERS_MAY_WRITE: u32 = 0o022;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let mode = folder.metadata().map_or(0, |folder| folder.permissions().mode());
    if mode & OTHERS_MAY_WRITE != 0 {
        tracing::warn!(
            folder = %folder.display(),
            mode = format!("{:o}", mode & 0o777),
            "other users can exchange the databases in the data folder; take it from them with chmod 700"
        );
    }
    made.map_err(|error| {
        format!(
            "the data folder {} cannot be made: {error}; choose another, or give this user the right to write there",
            folder.display()
        )
    })
}

/// Opens or creates the database of a service, the file `name` in `folder`, with its own schema and the inbox's.
/// `clock` dates its transactions.
///
/// # Errors
/// A sentence with the cure.
pub async fn open_database(
    folder: &Path,
    name: &str,
    schema: &'static [(&'static str, &'static str)],
    clock: &Clock,
) -> Result<Database, String> {
    let opened = participant::sqlite::open(folder.join(name), schema, clock).await;
    opened.map_err(|error| causes(&error))
}

/// What a process tells of its work, and by what name.
#[derive(Clone, Copy, Debug)]
pub struct Instrumentation<'a> {
    /// What its spans say it is, for example `sagamesh-stock`.
    pub service: &'a str,
    /// What it logs.
    pub log: &'a config::Log,
    /// What it tells beside its log.
    pub telemetry: &'a config::Telemetry,
    /// How long it may take to end.
    pub stop_timeout: Duration,
}

/// Begins a process: its log and its spans, which are written and sent to the end when what is given back is dropped, and what
/// is to be said of its config. The last spans have a part of the time that the process may take to end.
///
/// # Errors
/// A sentence with the cure.
pub fn start_log<C>(
    loaded: &Loaded<C>,
    instrumentation: Instrumentation<'_>,
) -> Result<log::Flush, String> {
    let Instrumentation { service, log, telemetry, stop_timeout } = instrumentation;
    let spans = trace::Pending::new(service, telemetry);
    let flush = log::start_with(log.format, &log.filter, spans, stop_timeout / FLUSH_PART)?;
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(flush)
}

/// Puts services into a process, each on its listener and with so many calls in flight at most: their databases in one
/// stage, they themselves in the next. Gives the way to each within the process.
pub async fn add_services(
    process: &mut Process,
    facade: &Facade,
    max_calls: NonZero<usize>,
    services: Vec<(Mount, TcpListener)>,
) -> Vec<(String, Routes)> {
    process.stage();
    let mut opened = Vec::new();
    for (mount, listener) in services {
        let (name, readiness) = (mount.name(), Readiness::default());
        for database in mount.databases() {
            process.keep(name, &readiness, database.clone());
        }
        let databases = mount.databases().to_vec();
        let server = Server::new(facade.shedding(Some(max_calls))).with(mount).build();
        opened.push((name, readiness, databases, server, listener));
    }
    process.stage();
    let mut in_process = Vec::new();
    for (name, readiness, databases, server, listener) in opened {
        if let Some(keep) = facade.keep_inbox() {
            for database in &databases {
                let removing = participant::remove_old_rows(database, facade.clock(), keep);
                process.spawn_until_stop(format!("the removal of old rows of {name}"), removing);
            }
        }
        in_process.push((name.to_owned(), server.0.in_process()));
        process.serve(name, &readiness, server, listener).await;
    }
    in_process
}

/// Runs one service in a process of its own until it is told to stop. Its spans say that it is `service`. Its database is checked against what was written down
/// beside it: `on_loss` says what is done where it went back. `open` opens its database and gives its
/// handlers.
///
/// # Errors
/// A sentence with the cure.
pub async fn run_service<F>(
    service: &str,
    loaded: Loaded<config::Service>,
    clock: Clock,
    on_loss: OnLoss,
    open: impl FnOnce(PathBuf, Facade) -> F,
) -> Result<(), String>
where
    F: Future<Output = Result<Mount, String>>,
{
    let config::Service { log, telemetry, limits, .. } = &loaded.config;
    let stop_timeout = limits.stop_timeout;
    let _flush = start_log(&loaded, Instrumentation { service, log, telemetry, stop_timeout })?;
    let signals = Signals::listen(loaded.config.limits.stop_timeout)?;
    let config::Service { listen, database, limits, retention, log, telemetry } = loaded.config;
    prepare_folder(&database.folder)?;
    let mut process =
        Process::new(clock.clone(), limits.connections).measured_by(telemetry.registry());
    if let Some(address) = listen.admin {
        process.serve_admin_on(listener::bind_setting("listen.admin", address).await?);
    }
    let budget = Budget::new(limits.requests, limits.responses);
    let facade = Facade::new(clock, log.calls)
        .keeping_inbox(retention.keep_inbox)
        .within(budget)
        .measured_by(process.metrics().clone());
    let mount = open(database.folder.clone(), facade.clone()).await?;
    join_databases(&database.folder, mount.databases(), on_loss).await?;
    let name = mount.name();
    let listener = listener::bind_setting("listen.grpc", listen.grpc).await?;
    add_services(&mut process, &facade, limits.max_calls, vec![(mount, listener)]).await;
    tracing::info!(service = name, address = %listen.grpc, data = %database.folder.display(), "serving");
    process.run_until_signal(signals, CancellationToken::new()).await
}
