//! A whole mesh in one process, on files of its own, that can die at any instant and start again.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clock::{Clock, ManualTime, Timestamp};
use definition::Compiled;
use facade::{
    Facade,
    config::Database,
    log::Calls,
    server::{Mount, Server},
};
use orchestrator::{
    Config, Node,
    config::{self, Definitions, Limits, Participants, Sagas},
    driver::Driver,
    journal,
};
use proto::saga::v1::{ListDefinitionsRequest, saga_service_client::SagaServiceClient};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::{Handle, Runtime},
    sync::oneshot,
};
use tonic::service::Routes;

use crate::{
    books,
    crash::{CrashPoint, CrashSwitch, CrashingJournal},
    network,
    script::Script,
    seam::Seam,
};

/// How much faster the kit's time runs than the machine's: a back-off of minutes takes seconds, and a call that takes
/// milliseconds does not outlast its time limit.
const TIME_FACTOR: u32 = 10;
const TICK: Duration = Duration::from_millis(1);
/// When the kit's time begins: in 2026, so that what shows times shows sensible ones.
const START_TIME: Timestamp = Timestamp(1_767_225_600_000);
/// How long a crashed process is given to let go of its files.
const FILE_RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

type Opening = Pin<Box<dyn Future<Output = Result<Mount, String>> + Send>>;

#[derive(Clone)]
enum Participant {
    BehindFacade(Arc<dyn Fn(PathBuf, Facade) -> Opening + Send + Sync>),
    Own { service: String, routes: Arc<dyn Fn() -> Routes + Send + Sync> },
}

/// What a mesh is made of.
#[derive(Clone, Default)]
pub struct Wiring {
    participants: Vec<Participant>,
    files: Vec<(String, String)>,
    is_over_the_network: bool,
}

impl Wiring {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a service that is built on the facade: `open` opens it on the files of a folder.
    #[must_use]
    pub fn service<F>(mut self, open: impl Fn(PathBuf, Facade) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Mount, String>> + Send + 'static,
    {
        let open = move |folder, facade| -> Opening { Box::pin(open(folder, facade)) };
        self.participants.push(Participant::BehindFacade(Arc::new(open)));
        self
    }

    /// With any tonic service: its full name, and the routes that serve it. They are made anew after each crash; what
    /// the service keeps must be kept outside them.
    #[must_use]
    pub fn participant(
        mut self,
        service: &str,
        routes: impl Fn() -> Routes + Send + Sync + 'static,
    ) -> Self {
        let service = service.to_owned();
        self.participants.push(Participant::Own { service, routes: Arc::new(routes) });
        self
    }

    /// With a definition, or with a `.proto` file that a definition names in `descriptors`.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// With participants that are called over the network.
    #[must_use]
    pub fn over_the_network(mut self) -> Self {
        self.is_over_the_network = true;
        self
    }

    /// Starts the mesh on files of its own.
    ///
    /// # Panics
    /// When it does not start: a test that cannot begin has failed.
    #[must_use]
    pub fn start(self) -> Mesh {
        Mesh::start(self)
    }
}

/// A mesh, alive or dead. Its files and its time go on while it is dead; both end with it, and the books of the shop,
/// where its services are there, must add up then.
pub struct Mesh {
    wiring: Wiring,
    folder: TempDir,
    clock: Clock,
    time: ClockRunner,
    script: Script,
    crash_switch: CrashSwitch,
    process: Option<Process>,
}

/// What dies in a crash.
struct Process {
    runtime: Runtime,
    driver: Driver,
    orchestrator: Routes,
    services: Vec<(String, Routes)>,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<(), String>>,
}

impl Mesh {
    fn start(wiring: Wiring) -> Self {
        // The files are in memory where that is possible: a crash leaves the same there, and a flush costs nothing.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => TempDir::new_in(memory),
            false => TempDir::new(),
        };
        let folder = folder.expect("a folder for the mesh");
        let sagas = folder.path().join("sagas");
        std::fs::create_dir(&sagas).expect("a folder for the definitions");
        std::fs::create_dir(folder.path().join("data")).expect("a folder for the databases");
        for (name, text) in &wiring.files {
            std::fs::write(sagas.join(name), text).expect("a definition is written");
        }
        let (clock, time) = Clock::manual(START_TIME);
        let time = ClockRunner::run(time);
        let (script, crash_switch) = (Script::default(), CrashSwitch::default());
        let mut mesh = Self { wiring, folder, clock, time, script, crash_switch, process: None };
        mesh.restart();
        mesh
    }

    /// Starts a dead mesh again, on the files that it left.
    ///
    /// # Panics
    /// When it is alive, or does not start.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the mesh is alive");
        self.crash_switch.set(None);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime for the mesh");
        let opened = runtime.block_on(self.open());
        let (node, services, listener) = opened.expect("the mesh starts");
        let (driver, orchestrator) = (node.driver().clone(), node.service().in_process());
        let (stop, stopped) = oneshot::channel();
        let serving = runtime.spawn(node.run(listener, async {
            let _ = stopped.await;
        }));
        self.time.follow(Some(runtime.handle().clone()));
        self.process = Some(Process { runtime, driver, orchestrator, services, stop, serving });
    }

    async fn open(&self) -> Result<(Node, Vec<(String, Routes)>, TcpListener), String> {
        let facade = Facade::new(self.clock.clone(), Calls::Notable);
        let seam = Seam::new(self.script.clone(), self.clock.clone());
        let mut services = Vec::new();
        for participant in &self.wiring.participants {
            services.push(match participant {
                Participant::Own { service, routes } => (service.clone(), routes()),
                Participant::BehindFacade(open) => {
                    let mount =
                        self.retry_while_locked(|| open(self.data(), facade.clone())).await?;
                    let name = mount.name().to_owned();
                    (name, Server::new(facade.clone()).with(mount).build().0.in_process())
                }
            });
        }
        let (mut in_process, mut over_the_network) = (Vec::new(), Participants::new());
        for (name, routes) in &services {
            let (name, routes) = (name.clone(), seam.wrap(routes.clone()));
            if self.wiring.is_over_the_network {
                let served = network::serve(routes).await.map_err(|error| error.to_string())?;
                over_the_network.insert(name, config::Participant::at(served));
            } else {
                in_process.push((name, routes));
            }
        }
        let config = Config {
            database: Database { folder: self.data() },
            definitions: Definitions {
                folder: Some(self.folder.path().join("sagas")),
                ..Definitions::default()
            },
            limits: Limits {
                sagas: Sagas {
                    // Many meshes share a processor here, and what they play is not that.
                    max_delay: Duration::from_mins(1),
                    // Whatever waits is read from its journal again.
                    max_waiting: 0,
                    ..Sagas::default()
                },
                ..Limits::default()
            },
            participants: over_the_network,
            ..Config::default()
        };
        let opened = self
            .retry_while_locked(|| {
                orchestrator::node::open_journal(&config.database.folder, &self.clock)
            })
            .await?;
        let journal: journal::Shared = Arc::new(CrashingJournal {
            journal: Arc::new(opened),
            crash_switch: self.crash_switch.clone(),
            script: self.script.clone(),
            ids: Mutex::default(),
        });
        let node = Node::with_journal(config, &[], in_process, &facade, journal).await?;
        all_registered(&node).await?;
        let _ = seam.driver.set(node.driver().clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        Ok((node, services, listener))
    }

    /// Tries again while another process has the files: a crashed one releases them a moment after it has died.
    async fn retry_while_locked<T, F: Future<Output = Result<T, String>>>(
        &self,
        open: impl Fn() -> F,
    ) -> Result<T, String> {
        let machine = Clock::system();
        let deadline = machine.now().after(FILE_RELEASE_TIMEOUT);
        loop {
            match open().await {
                Err(why) if why.contains("another process") && machine.now() < deadline => {
                    machine.sleep(TICK).await;
                }
                opened => return opened,
            }
        }
    }

    /// Kills the mesh: every task is dropped where it stands, and what was not committed is gone.
    pub fn crash(&mut self) {
        self.time.follow(None);
        if let Some(Process { runtime, .. }) = self.process.take() {
            runtime.shutdown_timeout(FILE_RELEASE_TIMEOUT);
        }
    }

    /// Stops the mesh as SIGTERM does.
    ///
    /// # Panics
    /// When it is dead, or stops with an error.
    pub fn stop(&mut self) {
        self.time.follow(None);
        let Process { runtime, stop, serving, driver, orchestrator, services } =
            self.process.take().expect("the mesh is alive");
        drop((driver, orchestrator, services));
        let _ = stop.send(());
        runtime.block_on(serving).expect("the mesh does not panic").expect("the mesh stops");
        runtime.shutdown_timeout(FILE_RELEASE_TIMEOUT);
    }

    fn alive(&self) -> &Process {
        self.process.as_ref().expect("the mesh is alive")
    }

    /// Runs `work` on the mesh's runtime.
    ///
    /// # Panics
    /// When the mesh is dead.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.alive().runtime.block_on(work)
    }

    /// The orchestrator, for any client.
    ///
    /// # Panics
    /// When the mesh is dead.
    #[must_use]
    pub fn orchestrator(&self) -> Routes {
        self.alive().orchestrator.clone()
    }

    /// The driver.
    ///
    /// # Panics
    /// When the mesh is dead.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.alive().driver
    }

    /// How often a saga, or records of one, were read from the journal.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.crash_switch.reads()
    }

    /// A client of `SagaService`.
    ///
    /// # Panics
    /// When the mesh is dead.
    #[must_use]
    pub fn sagas(&self) -> SagaServiceClient<Routes> {
        SagaServiceClient::new(self.orchestrator())
    }

    /// A participant, for any client: without the faults of the script.
    ///
    /// # Panics
    /// When the mesh is dead, or has no such participant.
    #[must_use]
    pub fn service(&self, name: &str) -> Routes {
        let found = self.alive().services.iter().find(|(service, _)| service == name);
        found.expect("the mesh has this participant").1.clone()
    }

    /// The newest definition of this name, as the mesh runs it.
    ///
    /// # Panics
    /// When the mesh is dead, or has no such definition.
    #[must_use]
    pub fn definition(&self, name: &str) -> Arc<Compiled> {
        let found = self.alive().driver.registry().find(name, 0);
        found.expect("the mesh has this definition").compiled
    }

    /// What goes wrong, and what was seen.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The folder of the databases.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The mesh's time, ten times as fast as the machine's.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the mesh's time on, beyond its own pace.
    pub fn advance(&self, by: Duration) {
        self.time.time.advance(by);
    }

    /// Sets where the mesh dies next; the count of appends begins anew.
    pub fn crash_at(&self, point: Option<CrashPoint>) {
        self.crash_switch.set(point);
    }

    /// Takes the crash point away. Whether the mesh had come to it before: then it must be crashed, for nothing in it
    /// goes on.
    #[must_use]
    pub fn disarm(&self) -> bool {
        self.crash_switch.disarm()
    }

    /// Appends to the journal since [`Mesh::crash_at`] or the start.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.crash_switch.appends()
    }

    /// Completes when the mesh has come to its crash point. It must be crashed then, for nothing in it goes on.
    pub fn died(&self) -> impl Future<Output = ()> + Send + use<> {
        let crash_switch = self.crash_switch.clone();
        async move { crash_switch.crashed().await }
    }
}

/// A node starts without the definitions that it cannot register; a test is not about that.
async fn all_registered(node: &Node) -> Result<(), String> {
    let mut sagas = SagaServiceClient::new(node.service().in_process());
    let listed = sagas.list_definitions(ListDefinitionsRequest::default()).await;
    let listed = listed.map_err(|status| status.to_string())?.into_inner();
    let problems = listed.definitions.iter().flat_map(|definition| &definition.problems);
    let told: Vec<String> = problems
        .map(|told| format!("{}:{}: {}; {}", told.file, told.line, told.what, told.cure))
        .collect();
    if told.is_empty() { Ok(()) } else { Err(told.join("\n")) }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.crash();
        books::audit(&self.data());
    }
}

/// A thread that moves the mesh's clock on. On a busy machine the mesh's time goes slower: it is moved on only when the mesh's
/// runtime has run the tasks that were ready, else calls would outlast their limits for want of a processor.
struct ClockRunner {
    time: ManualTime,
    dropped: Arc<AtomicBool>,
    mesh: Arc<Mutex<Option<Handle>>>,
}

impl ClockRunner {
    fn run(time: ManualTime) -> Self {
        let (dropped, mesh) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Option<Handle>>>::default());
        let (moved, ended, alive) = (time.clone(), Arc::clone(&dropped), Arc::clone(&mesh));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                let alive = alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(mesh) = alive {
                    wait_for_runtime(&mesh);
                }
                moved.advance(TICK * TIME_FACTOR);
            }
        });
        Self { time, dropped, mesh }
    }

    /// Waits for this runtime from now on before it moves time on; for none while the mesh is dead.
    fn follow(&self, mesh: Option<Handle>) {
        *self.mesh.lock().unwrap_or_else(PoisonError::into_inner) = mesh;
    }
}

/// Waits until the runtime has run a new task for some yields, or is gone.
fn wait_for_runtime(mesh: &Handle) {
    const YIELDS: usize = 3;
    // A runtime that hangs must not stop the clock, or no time limit would ever end the hang.
    const ROUND_TIMEOUT: Duration = Duration::from_secs(1);
    let (done, waiting) = std::sync::mpsc::channel();
    mesh.spawn(async move {
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
        let _ = done.send(());
    });
    let _ = waiting.recv_timeout(ROUND_TIMEOUT);
}

impl Drop for ClockRunner {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}
