//! The whole mesh in one process: the orchestrator and the four services, each on a port of its own, calling each other
//! without the network in between.

mod config;
mod notes;

use std::{
    iter,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use clock::Clock;
use facade::{
    Facade,
    budget::Budget,
    listener::{bind, bind_setting},
    process::{self, Process},
};
use orchestrator::{Node, journal::Journal, node::open_journal};
use tokio::net::TcpListener;
use tonic::service::Routes;

pub(crate) use self::config::PORT_BASE;
pub use self::config::{Config, Limits, Listen, Retention};
pub use facade::{
    config::{Database, Log},
    process::OnLoss,
};
pub use orchestrator::{
    MAX_RUNNING,
    config::{Definitions, Participant, Participants, Sagas},
    retention::{Keep, KeepAnswers},
};

use self::notes::note_each_other;
use crate::shop::SHOP;

/// Where each part listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// `SagaService`, and the methods that sagas serve.
    pub orchestrator: SocketAddr,
    /// `OrderService`.
    pub order: SocketAddr,
    /// `StockService`.
    pub stock: SocketAddr,
    /// `PointsService`.
    pub points: SocketAddr,
    /// `PaymentService`.
    pub payment: SocketAddr,
    /// Health.
    pub admin: SocketAddr,
}

/// A mesh that is open and listens; [`Mesh::run`] serves it.
pub struct Mesh {
    addresses: Addresses,
    data: PathBuf,
    routes: Routes,
    driver: orchestrator::driver::Driver,
    process: Process,
}

/// Opens the databases and takes the ports.
///
/// # Errors
/// Sentences with the cure; nothing is left half open.
pub async fn start(config: Config, clock: Clock) -> Result<Mesh, String> {
    start_with(config, clock, OnLoss::Refuse).await
}

/// As [`start`], on databases of which something may have been lost.
///
/// # Errors
/// As [`start`].
pub async fn start_with(config: Config, clock: Clock, on_loss: OnLoss) -> Result<Mesh, String> {
    let folder = config.database.folder.clone();
    process::prepare_folder(&folder)?;
    let mut process = Process::new(clock.clone(), config.limits.connections.clone())
        .measured_by(config.telemetry.registry());
    let budget = Budget::new(config.limits.requests.clone(), config.limits.responses.clone());
    let facade = Facade::new(clock.clone(), config.log.calls)
        .keeping_inbox(config.retention.keep_inbox)
        .within(budget)
        .measured_by(process.metrics().clone());
    let listeners = listen(&config.listen).await?;
    let addresses = listeners.addresses()?;
    process.serve_admin_on(listeners.admin);

    let mounts = [
        order_svc::open(folder.clone(), facade.clone()).await?,
        stock_svc::open(folder.clone(), facade.clone()).await?,
        points_svc::open(folder.clone(), facade.clone()).await?,
        payment_svc::open(folder.clone(), facade.clone()).await?,
    ];
    let journal = open_journal(&folder, facade.clock()).await?;
    let of_services = mounts.iter().flat_map(|mount| mount.databases().iter().cloned());
    let databases: Vec<_> = iter::once(journal.database().clone()).chain(of_services).collect();
    process::join_databases(&folder, &databases, on_loss).await?;

    let services = mounts.into_iter().zip(listeners.services).collect();
    let max_calls = config.limits.max_calls;
    let in_process = process::add_services(&mut process, &facade, max_calls, services).await;

    let journal = Arc::new(journal);
    let node = Node::with_journal(node(config), &[SHOP], in_process, &facade, journal).await?;
    let (routes, driver) = (node.service().in_process(), node.driver().clone());
    node.join(&mut process, listeners.orchestrator).await;
    let noting = note_each_other(databases, clock);
    process.spawn_until_stop("the notes of the databases", noting);
    Ok(Mesh { addresses, data: folder, routes, driver, process })
}

fn node(config: Config) -> orchestrator::Config {
    let Config { database, participants, definitions, limits, retention, log, .. } = config;
    let telemetry = config.telemetry;
    let Limits { max_running, sagas, connections, requests, responses, stop_timeout, max_calls: _ } =
        limits;
    let Retention { keep_finished, keep_keys, keep_inbox: _ } = retention;
    orchestrator::Config {
        database,
        participants,
        definitions,
        limits: orchestrator::config::Limits {
            max_running,
            sagas,
            connections,
            requests,
            responses,
            stop_timeout,
        },
        retention: orchestrator::config::Retention { keep_finished, keep_keys },
        log,
        telemetry,
        ..orchestrator::Config::default()
    }
}

impl Mesh {
    /// Where each part listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The folder of its databases.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The orchestrator, for calls from within the process.
    #[must_use]
    pub fn orchestrator(&self) -> Routes {
        self.routes.clone()
    }

    /// Runs the orchestrator's sagas.
    #[must_use]
    pub fn driver(&self) -> &orchestrator::driver::Driver {
        &self.driver
    }

    /// Serves until `stop` completes, then drains: the orchestrator first, so that its sagas can still be answered.
    /// A service that can no longer be reached ends the whole mesh in the same way: sagas that call it would only wait.
    ///
    /// # Errors
    /// When a listener fails: which one, and why.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), String> {
        self.process.run(stop).await
    }

    /// The process, for who runs it by its signals.
    #[must_use]
    pub fn into_process(self) -> Process {
        self.process
    }
}

struct Listeners {
    orchestrator: TcpListener,
    services: [TcpListener; 4],
    admin: TcpListener,
}

/// Takes the ports.
async fn listen(config: &Listen) -> Result<Listeners, String> {
    let at = |offset| {
        let port = match config.port_base {
            0 => 0,
            base => base.saturating_add(offset),
        };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    let orchestrator = bind(at(0)).await?;
    let services = [bind(at(1)).await?, bind(at(2)).await?, bind(at(3)).await?, bind(at(4)).await?];
    let admin = match config.admin {
        Some(address) => bind_setting("listen.admin", address).await?,
        None => match bind(at(5)).await {
            Ok(listener) => listener,
            // This listener was not configured, so a port that is taken must not keep the mesh from starting.
            Err(_) => bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?,
        },
    };
    Ok(Listeners { orchestrator, services, admin })
}

impl Listeners {
    fn addresses(&self) -> Result<Addresses, String> {
        let [order, stock, points, payment] = &self.services;
        Ok(Addresses {
            orchestrator: address(&self.orchestrator)?,
            order: address(order)?,
            stock: address(stock)?,
            points: address(points)?,
            payment: address(payment)?,
            admin: address(&self.admin)?,
        })
    }
}

fn address(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| format!("the listener has no address: {error}"))
}
