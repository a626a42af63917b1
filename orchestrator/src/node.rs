//! One orchestrator process, wired in the order in which things must be there.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clock::Clock;
use definition::{Compiled, Draft, load};
use facade::{
    Facade,
    process::{self, Log},
    server::{self, Health, Server, Service},
};
use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::service::Routes;

use crate::{
    api::{saga_service::Handlers, served::Served},
    describe::Describer,
    driver::Driver,
    handlers::saga_service,
    journal::{self, Journal, sqlite::Sqlite},
    outbound::Participants,
    registry::Registry,
    retention::{self, Keep, KeepAnswers},
};

/// How long running sagas are given to record what is still answered when the process stops.
const PARK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many sagas a node runs at once where it is not told otherwise: some seconds of work, and less than 100 MB.
pub const MAX_RUNNING: usize = 10_000;

/// The config file of the role `orchestrator`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens, for example `127.0.0.1:7070`.
    pub listen: SocketAddr,
    /// The folder of its journal; made when it is missing.
    pub data: PathBuf,
    /// The address of each service that sagas call, by the service's full name.
    #[serde(default)]
    pub participants: BTreeMap<String, String>,
    /// Bundles of definitions that this program brings, by name.
    #[serde(default)]
    pub bundles: Vec<String>,
    /// A folder of definitions.
    #[serde(default)]
    pub sagas: Option<PathBuf>,
    /// How many sagas may run at once; a start beyond them is refused, RESOURCE_EXHAUSTED.
    #[serde(default = "max_running")]
    pub max_running: usize,
    /// How long sagas are kept after their end; for ever where it is left out.
    #[serde(default)]
    pub keep_finished: Option<Keep>,
    /// How long the idempotency keys of sagas that were removed are kept, from the end of the saga.
    #[serde(default)]
    pub keep_keys: KeepAnswers,
    /// What it logs.
    #[serde(default)]
    pub log: Log,
}

fn max_running() -> usize {
    MAX_RUNNING
}

/// Definitions that a program brings with it.
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

/// What a node is made of.
#[derive(Debug)]
pub struct Settings {
    /// The folder of its journal.
    pub data: PathBuf,
    /// Participants over the network: service and address.
    pub addresses: BTreeMap<String, String>,
    /// Participants in this process. An address for the same service wins.
    pub in_process: Vec<(String, Routes)>,
    /// Definitions that the program brings.
    pub bundles: Vec<Bundle>,
    /// A folder of definitions.
    pub sagas: Option<PathBuf>,
    /// How many sagas may run at once.
    pub max_running: usize,
    /// How long sagas are kept after their end; for ever where it is left out.
    pub keep_finished: Option<Keep>,
    /// How long the idempotency keys of sagas that were removed are kept, from the end of the saga.
    pub keep_keys: KeepAnswers,
}

/// An open node: its journal is open, its definitions are registered, and nothing runs yet.
pub struct Node {
    driver: Driver,
    journal: journal::Shared,
    participants: Participants,
    service: Service,
    health: Health,
    keep_finished: Option<Keep>,
    keep_keys: KeepAnswers,
}

impl Node {
    /// Opens a node.
    ///
    /// # Errors
    /// Sentences with the cure: the folder cannot be used, or every problem of every definition.
    pub async fn open(settings: Settings, facade: &Facade) -> Result<Self, String> {
        let journal: journal::Shared = Arc::new(open_journal(&settings.data).await?);
        Self::with_journal(settings, facade, journal).await
    }

    /// Opens a node on a journal that is open already; one that does not open closes it.
    ///
    /// # Errors
    /// Every problem of every definition, a line each.
    pub async fn with_journal(
        settings: Settings,
        facade: &Facade,
        journal: journal::Shared,
    ) -> Result<Self, String> {
        let clock = facade.clock().clone();
        let opened = Self::wire(settings, facade, clock, Arc::clone(&journal)).await;
        if opened.is_err() {
            journal.close().await;
        }
        opened
    }

    async fn wire(
        settings: Settings,
        facade: &Facade,
        clock: Clock,
        journal: journal::Shared,
    ) -> Result<Self, String> {
        let registry = Registry::load(journal.as_ref())
            .await
            .map_err(|error| format!("the journal: {error}"))?;
        let participants = Participants::new(clock.clone());
        for (service, routes) in settings.in_process {
            participants.add_in_process(&service, routes);
        }
        for (service, address) in &settings.addresses {
            participants.add_address(service, address)?;
        }
        let loader = Loader {
            clock: &clock,
            journal: journal.as_ref(),
            registry: &registry,
            settings: &settings.addresses,
        };
        let definitions = loader.load(&settings.bundles, settings.sagas.as_deref()).await?;

        let driver = Driver::new(
            clock,
            Arc::clone(&journal),
            participants.clone(),
            registry,
            settings.max_running,
        );
        let (service, health) = serve_api(&driver, facade, &definitions)?;
        // A saga may steer sagas: the node is its own participant.
        participants.add_in_process(saga_service::NAME, service.in_process());
        let Settings { keep_finished, keep_keys, .. } = settings;
        Ok(Self { driver, journal, participants, service, health, keep_finished, keep_keys })
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

    /// Serves and recovers until `stop` completes; then takes no new work, parks what runs and closes the journal.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), String> {
        let Self { driver, journal, participants, service, health, keep_finished, keep_keys } =
            self;
        let ending = GivenUp { driver: driver.clone(), participants };
        let mut tasks = JoinSet::new();
        let recovery = driver.clone();
        tasks.spawn(async move { recovery.recover().await });
        let clock = driver.clock().clone();
        if let Some(keep) = keep_finished {
            let ended = retention::Ended(Arc::clone(&journal), keep_keys.keep());
            tasks.spawn(retention::run(clock.clone(), keep, ended));
        }
        let keys = retention::Keys(Arc::clone(&journal));
        tasks.spawn(retention::run(clock.clone(), Keep::NOTHING, keys));
        health.set_ready(true).await;
        let stopping = async {
            stop.await;
            health.set_ready(false).await;
            let sagas = driver.stop(PARK_TIMEOUT).await;
            if sagas > 0 {
                tracing::warn!(
                    sagas,
                    "calls are still under way; their sagas go on at the next start"
                );
            }
        };
        let served = server::serve(service, listener, &clock, stopping)
            .await
            .map_err(|error| error.to_string());
        tasks.shutdown().await;
        drop(ending);
        journal.close().await;
        served
    }
}

/// Gives everything up at the node's end, also where it is dropped while it runs: its sagas' tasks, and the participants,
/// one of which is the node itself, which would keep itself and its files alive.
struct GivenUp {
    driver: Driver,
    participants: Participants,
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.driver.give_up();
        self.participants.clear();
    }
}

/// Opens the journal in `folder`, which is made where it is missing.
///
/// # Errors
/// A sentence with the cure.
pub async fn open_journal(folder: &Path) -> Result<Sqlite, String> {
    process::prepare_folder(folder)?;
    Sqlite::open(&folder.join("orchestrator.db"))
        .await
        .map_err(|error| facade::wire::causes(&error))
}

/// Mounts `SagaService` and every method that a definition serves.
fn serve_api(
    driver: &Driver,
    facade: &Facade,
    definitions: &[Arc<Compiled>],
) -> Result<(Service, Health), String> {
    let mut server =
        Server::new(facade.clone()).with(saga_service::mount(Handlers::new(driver.clone())));
    let methods = server.methods();
    let mut served_by: BTreeMap<String, String> = BTreeMap::new();
    for definition in definitions {
        let Some(method) = definition.serves() else { continue };
        let earlier = served_by.insert(method.full_name().to_owned(), definition.name().to_owned());
        if let Some(other) = earlier.filter(|other| other != definition.name()) {
            return Err(format!(
                "{} is served by two definitions, {other} and {}: let one of them serve another method",
                method.full_name(),
                definition.name()
            ));
        }
        let parent = method.parent_service();
        server.show(parent.full_name(), parent.parent_pool());
        methods.serve(method, Served::new(driver.clone(), definition, method));
    }
    Ok(server.build())
}

/// Reads and registers definitions.
struct Loader<'a> {
    clock: &'a Clock,
    journal: &'a dyn Journal,
    registry: &'a Registry,
    settings: &'a BTreeMap<String, String>,
}

impl Loader<'_> {
    /// The definitions of `bundles`, and those in `folder`.
    ///
    /// # Errors
    /// Every problem of every file, a line each.
    async fn load(
        &self,
        bundles: &[Bundle],
        folder: Option<&Path>,
    ) -> Result<Vec<Arc<Compiled>>, String> {
        let (mut loaded, mut problems) = (Vec::new(), Vec::new());
        for (file, source) in bundles.iter().flat_map(|bundle| bundle.files) {
            self.one(Draft::parse(file, source), Path::new(""), &mut loaded, &mut problems).await;
        }
        if let Some(folder) = folder {
            let files = load::files(folder).map_err(|error| {
                format!(
                    "the folder of definitions {} cannot be read: {error}; make it, or leave it out",
                    folder.display()
                )
            })?;
            for file in files {
                self.one(load::read(&file), folder, &mut loaded, &mut problems).await;
            }
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems.join("\n")) }
    }

    async fn one(
        &self,
        draft: Result<Draft, Vec<definition::Problem>>,
        folder: &Path,
        loaded: &mut Vec<Arc<Compiled>>,
        problems: &mut Vec<String>,
    ) {
        let draft = match draft {
            Ok(draft) => draft,
            Err(found) => return problems.extend(found.iter().map(ToString::to_string)),
        };
        // A source that is registered needs no descriptors: it runs by those that it was registered with, also while
        // its participants are down.
        if let Some(known) = self.registry.find_hash(&draft.hash()) {
            return loaded.push(known.compiled);
        }
        let describer = Describer { clock: self.clock, addresses: self.settings, files: &[] };
        match describer.compile(draft, folder).await {
            Ok(compiled) => {
                match self.registry.register(self.journal, self.clock, compiled).await {
                    Ok(compiled) => loaded.push(compiled),
                    Err(why) => problems.push(why),
                }
            }
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
}

/// Runs the role `orchestrator` until the process is told to stop, with the definitions of those of `known` that the
/// config names.
///
/// # Errors
/// Sentences with the cure.
pub async fn run(config: Config, known: &[Bundle], clock: Clock) -> Result<(), String> {
    let bundles = Bundle::find(known, &config.bundles)?;
    facade::log::start(config.log.format, &config.log.filter)?;
    let stop =
        process::stop_signal().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let facade = Facade::new(clock, config.log.calls);
    let settings = Settings {
        data: config.data,
        addresses: config.participants,
        in_process: Vec::new(),
        bundles,
        sagas: config.sagas,
        max_running: config.max_running,
        keep_finished: config.keep_finished,
        keep_keys: config.keep_keys,
    };
    let node = Node::open(settings, &facade).await?;
    let listener = server::listen(config.listen).await?;
    tracing::info!(address = %config.listen, "the orchestrator serves");
    node.run(listener, stop).await
}
