//! The system under test: an orchestrator for the steps that do nothing, or the whole shop.

use std::{num::NonZero, time::Duration};

use anyhow::{Result, anyhow};
use clock::Clock;
use facade::{
    Facade,
    config::{Database, Loaded, Log, STOP_TIMEOUT},
    log::Calls,
    process,
};
use orchestrator::{
    Node,
    config::{Definitions, Limits, Participant, Participants, Retention, Sagas},
};
use sagamesh::mesh::{self, Addresses};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::service::Routes;

use crate::{LOG_FILTER, arguments, arguments::Workload, child::wait_for_stop, noop};

/// A system that runs in this process.
pub(crate) struct System {
    /// Where the orchestrator listens; for the shop the four services too.
    pub(crate) addresses: Vec<String>,
    /// The orchestrator, for calls from within the process.
    pub(crate) routes: Routes,
    driver: orchestrator::driver::Driver,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), String>>,
}

impl System {
    /// Opens it on the files in `data` and serves it.
    pub(crate) async fn start(arguments: arguments::System) -> Result<Self> {
        match arguments.workload {
            Workload::Noop => Self::noop(arguments).await,
            Workload::PlaceOrder | Workload::Decline | Workload::SoldOut => {
                Self::shop(arguments).await
            }
        }
        .map_err(|why| anyhow!(why))
    }

    async fn noop(arguments: arguments::System) -> Result<Self, String> {
        let telemetry = arguments.telemetry.settings()?;
        let arguments::System { data, steps, max_running, participant, keep_finished, .. } =
            arguments;
        let sagas = data.join("sagas");
        let io = |error: std::io::Error| error.to_string();
        std::fs::create_dir_all(&sagas).map_err(io)?;
        let definition = noop::definition(steps);
        for (file, text) in [("noop.yaml", definition.as_str()), noop::CONTRACT] {
            std::fs::write(sagas.join(file), text).map_err(io)?;
        }
        let in_process = match participant {
            None => vec![(noop::SERVICE.to_owned(), noop::routes())],
            Some(_) => Vec::new(),
        };
        let participants = match participant {
            None => Participants::new(),
            Some(address) => {
                let participant = Participant::at(address.parse()?);
                Participants::from([(noop::SERVICE.to_owned(), participant)])
            }
        };
        let config = orchestrator::Config {
            database: Database { folder: data },
            participants,
            definitions: Definitions { folder: Some(sagas), ..Definitions::default() },
            limits: Limits { max_running, sagas: all_room(), ..Limits::default() },
            retention: Retention { keep_finished, ..Retention::default() },
            ..orchestrator::Config::default()
        };
        let facade = Facade::new(Clock::system(), Calls::Notable).measured_by(telemetry.registry());
        let node = Node::open(config, &[], in_process, &facade).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let addresses = vec![listener.local_addr().map_err(io)?.to_string()];
        let (routes, driver) = (node.service().in_process(), node.driver().clone());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(node.run(listener, async {
            let _ = stopped.await;
        }));
        Ok(Self { addresses, routes, driver, stop, serving })
    }

    async fn shop(arguments: arguments::System) -> Result<Self, String> {
        let telemetry = arguments.telemetry.settings()?;
        let config = mesh::Config {
            telemetry,
            listen: mesh::Listen { port_base: 0, ..mesh::Listen::default() },
            database: Database { folder: arguments.data },
            limits: mesh::Limits {
                max_running: arguments.max_running,
                sagas: all_room(),
                ..mesh::Limits::default()
            },
            retention: mesh::Retention {
                keep_finished: arguments.keep_finished,
                keep_inbox: arguments.keep_inbox,
                ..mesh::Retention::default()
            },
            log: Log { calls: Calls::Notable, ..Log::default() },
            ..mesh::Config::default()
        };
        let mesh = mesh::start(config, Clock::system()).await?;
        let Addresses { orchestrator, order, stock, points, payment, .. } = *mesh.addresses();
        let addresses = [orchestrator, order, stock, points, payment];
        let addresses = addresses.iter().map(ToString::to_string).collect();
        let (routes, driver) = (mesh.orchestrator(), mesh.driver().clone());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(mesh.run(async {
            let _ = stopped.await;
        }));
        Ok(Self { addresses, routes, driver, stop, serving })
    }

    /// How often the journal has waited for the disk.
    pub(crate) fn commits(&self) -> u64 {
        self.driver.journal().database().commits()
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self { stop, serving, driver, routes, .. } = self;
        let _ = stop.send(());
        drop((driver, routes));
        serving.await?.map_err(|why| anyhow!(why))
    }
}

/// Runs a system as a process of its own.
pub(crate) async fn serve(arguments: arguments::System) -> Result<()> {
    let telemetry = arguments.telemetry.settings().map_err(|why| anyhow!(why))?;
    let instrumentation = process::Instrumentation {
        service: "bench",
        log: &Log { filter: LOG_FILTER.to_owned(), ..Log::default() },
        telemetry: &telemetry,
        stop_timeout: STOP_TIMEOUT,
    };
    let sources = Loaded { config: (), settings: Vec::new(), warnings: Vec::new() };
    let _flush = process::start_log(&sources, instrumentation).map_err(|why| anyhow!(why))?;
    let system = System::start(arguments).await?;
    println!("{}", system.addresses.join(" "));
    wait_for_stop().await;
    let commits = system.commits();
    system.stop().await?;
    println!("{commits}");
    Ok(())
}

/// Nothing but the number of sagas bounds a run.
fn all_room() -> Sagas {
    Sagas {
        share_per_definition: 100,
        share_per_participant: 100,
        max_delay: Duration::from_hours(1),
        max_within: NonZero::<usize>::MAX,
        ..Sagas::default()
    }
}
