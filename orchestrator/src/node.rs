//! One orchestrator process, wired in the order in which things must be there.

use std::{path::Path, slice, sync::Arc, time::Duration};

use clock::Clock;
use facade::{
    Facade,
    budget::Budget,
    config::Loaded,
    health::Health,
    listener,
    process::{self, Instrumentation, OnLoss, Process, Signals},
    readiness::Readiness,
    server::{Server, Service},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{
    alarms,
    api::saga_service::Handlers,
    config::{Alarms, Config, Limits, Retention},
    definitions::{Definitions, files::Files},
    driver::Driver,
    handlers::saga_service,
    journal::{self, Journal, tables::Tables},
    metrics::observe_definitions,
    outbound::{Participants, keep_fresh},
    registry::Registry,
    retention::{self, Keep},
};

/// How long running sagas are given to record what is still answered when the process stops.
const PARK_TIMEOUT: Duration = Duration::from_secs(5);

/// Definitions that are built into a program.
#[derive(Clone, Copy, Debug)]
pub struct Bundle {
    /// What a config file calls it.
    pub name: &'static str,
    /// File name and source of each.
    pub files: &'static [(&'static str, &'static str)],
}

impl Bundle {
    /// The bundles of `known` that are named.
    ///
    /// # Errors
    /// A sentence where there is none of a name.
    fn find(known: &[Self], names: &[String]) -> Result<Vec<Self>, String> {
        let find = |name: &String| {
            known.iter().copied().find(|bundle| bundle.name == name).ok_or_else(|| {
                let known: Vec<&str> = known.iter().map(|bundle| bundle.name).collect();
                format!(
                    "bundles: this program brings no definitions called {name}; it brings {}",
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )
            })
        };
        names.iter().map(find).collect()
    }
}

/// An open node: its journal is open, those of its definitions that are sound are registered, and nothing runs yet.
pub struct Node {
    driver: Driver,
    journal: journal::Shared,
    participants: Participants,
    service: Service,
    health: Health,
    files: Files,
    limits: Limits,
    retention: Retention,
    alarms: Alarms,
    /// Connections to participants.
    outgoing: usize,
}

impl Node {
    /// Opens a node with the definitions of `available_bundles` that its config names. Services in this process are called without
    /// the network; an address for the same service wins.
    ///
    /// # Errors
    /// Sentences with the cure: the folder cannot be used, or a bundle is unknown. A definition that is unsound, or whose
    /// participant is away, keeps no node from starting.
    pub async fn open(
        config: Config,
        available_bundles: &[Bundle],
        in_process: Vec<(String, Routes)>,
        facade: &Facade,
    ) -> Result<Self, String> {
        let journal = open_journal(&config.database.folder, facade.clock()).await?;
        let journal: journal::Shared = Arc::new(journal);
        Self::with_journal(config, available_bundles, in_process, facade, journal).await
    }

    /// Opens a node on a journal that is open already; one that does not open closes it.
    ///
    /// # Errors
    /// Sentences with the cure: the journal cannot be read, or a bundle is unknown.
    pub async fn with_journal(
        config: Config,
        available_bundles: &[Bundle],
        in_process: Vec<(String, Routes)>,
        facade: &Facade,
        journal: journal::Shared,
    ) -> Result<Self, String> {
        let opened =
            Self::assemble(config, available_bundles, in_process, facade, Arc::clone(&journal))
                .await;
        if opened.is_err() {
            journal.database().close().await;
        }
        opened
    }

    async fn assemble(
        config: Config,
        available_bundles: &[Bundle],
        in_process: Vec<(String, Routes)>,
        facade: &Facade,
        journal: journal::Shared,
    ) -> Result<Self, String> {
        let clock = facade.clock().clone();
        let bundles = Bundle::find(available_bundles, &config.definitions.bundles)?;
        let registry = Registry::load(journal.as_ref())
            .await
            .map_err(|error| format!("the journal: {error}"))?;
        let participants = Participants::new(clock.clone()).measured_by(facade.metrics().clone());
        for (service, routes) in in_process {
            participants.add_in_process(&service, routes);
        }
        for (service, participant) in &config.participants {
            participants.add_peer(service, &participant.peer(), participant.call_limits());
            if !participant.metadata.is_empty() {
                participants
                    .add_metadata(service, &participant.metadata)
                    .map_err(|why| format!("participants.{service}.metadata.{why}"))?;
            }
        }
        let driver = Driver::new(
            clock,
            Arc::clone(&journal),
            participants.clone(),
            Arc::new(registry),
            &config.limits,
            facade.metrics(),
        );
        let server = Server::new(facade.clone());
        let definitions = Definitions::new(
            driver.clone(),
            config.participants.clone(),
            &config.definitions,
            server.dynamic(),
        );
        definitions.serve();
        let definitions = Arc::new(definitions);
        observe_definitions(&definitions, facade.metrics());
        let mut files = Files::new(
            Arc::clone(&definitions),
            driver.clock().clone(),
            &bundles,
            &config.definitions,
        );
        files.look().await;
        let handlers =
            Handlers::new(driver.clone(), definitions, &config.limits.sagas, facade.metrics());
        let (service, health) = server.with(saga_service::mount(handlers)).build();
        // A saga may steer sagas: the node is its own participant.
        participants.add_in_process(saga_service::NAME, service.in_process());
        let peers = config.participants.values();
        let outgoing: usize = peers.map(|participant| participant.peer().connections()).sum();
        let outgoing = outgoing + usize::from(config.alarms.webhook.is_some());
        let Config { limits, retention, alarms, .. } = config;
        if let Some(webhook) = &alarms.webhook {
            webhook.endpoint().map_err(|why| format!("alarms.webhook: {why}"))?;
        }
        Ok(Self {
            driver,
            journal,
            participants,
            service,
            health,
            files,
            limits,
            retention,
            alarms,
            outgoing,
        })
    }

    /// What the node serves, for calls from within the process.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Runs sagas.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Puts the node into a process. At the end its sagas are parked while they can still be answered; then its listener
    /// drains; then the journal is closed.
    pub async fn join(self, process: &mut Process, listener: TcpListener) {
        const ROLE: &str = "orchestrator";
        let Self {
            driver,
            journal,
            participants,
            service,
            health,
            files,
            limits: _,
            retention,
            alarms: settings,
            outgoing,
        } = self;
        process.reserve_outgoing(outgoing);
        let (clock, readiness) = (driver.clock().clone(), Readiness::default());
        process.stage();
        process.keep(ROLE, &readiness, journal.database().clone());
        let removal = journal.database().removal();

        process.stage();
        if let Some(keep) = retention.keep_finished {
            let ended = retention::EndedSagas(Arc::clone(&journal), retention.keep_keys.keep());
            let removing = retention::run(clock.clone(), keep, removal.clone(), ended);
            process.spawn_until_stop("the removal of sagas that have ended", removing);
            let counted = retention::CountedCompensations(Arc::clone(&journal));
            let keep = keep.max(retention.keep_keys.keep());
            let removing = retention::run(clock.clone(), keep, removal.clone(), counted);
            process.spawn_until_stop("the removal of counts of compensations", removing);
        }
        let keys = retention::RemovedSagaKeys(Arc::clone(&journal));
        let removing = retention::run(clock.clone(), Keep::NOTHING, removal, keys);
        process.spawn_until_stop("the removal of keys", removing);
        process.serve(ROLE, &readiness, (service, health), listener).await;
        process.spawn_until_stop("the files of definitions", files.watch(readiness));

        process.stage();
        let recovering = driver.clone();
        if participants.have_secrets_in_files() {
            let refreshing = keep_fresh(participants.clone(), driver.clock().clone());
            process.spawn_until_stop("the metadata of participants", refreshing);
        }
        process.spawn_until_stop("recovery", async move { recovering.recover().await });
        let comparing = crate::drift::watch(driver.clone());
        process.spawn_until_stop("the comparison of contracts", comparing);
        alarms::join(process, clock, journal, driver.node().to_owned(), settings);
        let guard = ShutdownGuard { driver, participants };
        process.spawn("the sagas", async move |stop: CancellationToken| {
            stop.cancelled().await;
            let sagas = guard.driver.stop(PARK_TIMEOUT).await;
            if sagas > 0 {
                tracing::warn!(
                    sagas,
                    "calls are still under way; their sagas go on at the next start"
                );
            }
            Ok(())
        });
    }

    /// Runs the node alone until `stop` completes; then takes no new work, parks what runs and closes the journal.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), String> {
        let mut process =
            Process::new(self.driver.clock().clone(), self.limits.connections.clone());
        self.join(&mut process, listener).await;
        process.run(stop).await
    }
}

/// Aborts the sagas' tasks and drops the participants at the node's end, also where the node is dropped while it runs. One
/// of the participants is the node itself, which would keep itself and its files alive.
struct ShutdownGuard {
    driver: Driver,
    participants: Participants,
}

impl Drop for ShutdownGuard {
    fn drop(&mut self) {
        self.driver.abort();
        self.participants.clear();
    }
}

/// Opens the journal in `folder`, which is made where it is missing. `clock` dates its transactions.
///
/// # Errors
/// A sentence with the cure.
pub async fn open_journal(folder: &Path, clock: &Clock) -> Result<Tables, String> {
    process::prepare_folder(folder)?;
    Tables::open(&folder.join("orchestrator.db"), clock)
        .await
        .map_err(|error| facade::wire::causes(&error))
}

/// Runs the role `orchestrator` until the process is told to stop, with the definitions of those of `available_bundles` that the
/// config names.
///
/// # Errors
/// Sentences with the cure.
pub async fn run(
    loaded: Loaded<Config>,
    available_bundles: &[Bundle],
    clock: Clock,
    on_loss: OnLoss,
) -> Result<(), String> {
    let Config { log, telemetry, limits, .. } = &loaded.config;
    let (service, stop_timeout) = ("sagamesh-orchestrator", limits.stop_timeout);
    let _flush =
        process::start_log(&loaded, Instrumentation { service, log, telemetry, stop_timeout })?;
    let signals = Signals::listen(loaded.config.limits.stop_timeout)?;
    let config = loaded.config;
    let mut process = Process::new(clock.clone(), config.limits.connections.clone())
        .measured_by(config.telemetry.registry());
    if let Some(address) = config.listen.admin {
        process.serve_admin_on(listener::bind_setting("listen.admin", address).await?);
    }
    let budget = Budget::new(config.limits.requests.clone(), config.limits.responses.clone());
    let facade =
        Facade::new(clock, config.log.calls).within(budget).measured_by(process.metrics().clone());
    let address = config.listen.grpc;
    let folder = &config.database.folder;
    let journal = open_journal(folder, facade.clock()).await?;
    process::join_databases(folder, slice::from_ref(journal.database()), on_loss).await?;
    let journal = Arc::new(journal);
    let node = Node::with_journal(config, available_bundles, Vec::new(), &facade, journal).await?;
    node.join(&mut process, listener::bind_setting("listen.grpc", address).await?).await;
    tracing::info!(%address, "the orchestrator serves");
    process.run_until_signal(signals, CancellationToken::new()).await
}
