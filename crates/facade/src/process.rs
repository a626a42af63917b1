//! A process that runs one role: its config file, its log, its signals.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use store::{Database, retention::KeepAnswers};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Facade,
    log::{self, Calls, Format},
    server::{self, Mount, Server},
    wire::causes,
};

/// What every role is configured by. One YAML file; an unknown setting is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens, for example `127.0.0.1:7071`.
    pub listen: SocketAddr,
    /// The folder of its database; made when it is missing.
    pub data: PathBuf,
    /// How long the inbox keeps answers; for ever where it is left out. See [`participant::Inbox::keeping`].
    #[serde(default)]
    pub keep_inbox: Option<KeepAnswers>,
    /// What it logs.
    #[serde(default)]
    pub log: Log,
}

/// What a process logs, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// In `tracing`'s notation, for example `info,orchestrator=debug`. Release builds have nothing below `debug`.
    pub filter: String,
    /// `all` calls, or the `notable` ones.
    pub calls: Calls,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::default(), filter: "info".to_owned(), calls: Calls::default() }
    }
}

/// Reads a role's config file.
///
/// # Errors
/// A sentence with file, line and cause.
pub fn read_config<C: DeserializeOwned>(path: &Path) -> Result<C, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| {
            format!(
                "cannot read the config file {}: {error}; name one that is there, --help shows what stands in it",
                path.display()
            )
        })?;
    serde_saphyr::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Makes a role's data folder.
///
/// # Errors
/// A sentence with the cure.
pub fn prepare_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| {
        format!(
            "the data folder {} cannot be made: {error}; choose another, or give this user the right to write there",
            folder.display()
        )
    })
}

/// Completes at the first SIGTERM or SIGINT; the second ends the process at once.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next =
            async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        next().await;
        // Nobody may be waiting any more: the second signal must end the process all the same.
        let _ = stopping.send(());
        tracing::info!(
            "stopping: no new work, what runs may finish; a second signal ends the process at once"
        );
        next().await;
        std::process::exit(130);
    });
    Ok(async move {
        let _ = stopped.await;
    })
}

/// Opens or creates the database of a service, the file `name` in `folder`, with its own schema and the inbox's.
///
/// # Errors
/// A sentence with the cure.
pub async fn open_database(
    folder: &Path,
    name: &str,
    schema: &'static [(&'static str, &'static str)],
) -> Result<Database, String> {
    let opened = participant::sqlite::open(folder.join(name), schema).await;
    opened.map_err(|error| causes(&error))
}

/// Runs one service in a process of its own until it is told to stop. `open` opens its database and gives its
/// handlers.
///
/// # Errors
/// A sentence with the cure.
pub async fn run_service<F>(
    config: Config,
    clock: clock::Clock,
    open: impl FnOnce(PathBuf, Facade) -> F,
) -> Result<(), String>
where
    F: Future<Output = Result<Mount, String>>,
{
    log::start(config.log.format, &config.log.filter)?;
    let stop = stop_signal().map_err(|error| format!("cannot listen for signals: {error}"))?;
    prepare_folder(&config.data)?;
    let facade = Facade::new(clock.clone(), config.log.calls).keeping_inbox(config.keep_inbox);
    let mount = open(config.data.clone(), facade.clone()).await?;
    let name = mount.name();
    let (service, health) = Server::new(facade).with(mount).build();
    let listener = server::listen(config.listen).await?;
    health.set_ready(true).await;
    tracing::info!(service = name, address = %config.listen, data = %config.data.display(), "serving");
    let stopping = async {
        stop.await;
        health.set_ready(false).await;
    };
    server::serve(service, listener, &clock, stopping).await.map_err(|error| error.to_string())
}
