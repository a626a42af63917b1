//! The whole mesh in one process: the orchestrator and the four services, each on a port of its own, calling each other
//! without the network in between.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use clock::Clock;
use facade::{
    Facade,
    log::Calls,
    process,
    server::{self, Health, Mount, Server, Service},
};
use orchestrator::Node;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a mesh is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of its databases; made when it is missing.
    pub data: PathBuf,
    /// The orchestrator's port; the services are on the four that follow. 0: free ports.
    pub port_base: u16,
    /// A folder of definitions, beside those that ship.
    pub sagas: Option<PathBuf>,
    /// Services outside this process: full name and address. One of ours is called there then.
    pub participants: Vec<(String, String)>,
    /// Which calls are logged.
    pub calls: Calls,
}

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
}

/// A mesh that is open and listens; [`Mesh::run`] serves it.
pub struct Mesh {
    addresses: Addresses,
    data: PathBuf,
    clock: Clock,
    node: Node,
    orchestrator: TcpListener,
    services: Vec<Served>,
}

struct Served {
    name: &'static str,
    service: Service,
    health: Health,
    listener: TcpListener,
    address: SocketAddr,
}

/// Opens the databases and takes the ports.
///
/// # Errors
/// Sentences with the cure; nothing is left half open.
pub async fn start(settings: Settings, clock: Clock) -> Result<Mesh, String> {
    process::prepare_folder(&settings.data)?;
    let facade = Facade::new(clock.clone(), settings.calls);
    let orchestrator = listen(settings.port_base, 0).await?;

    let folder = &settings.data;
    let mounts = [
        order_svc::open(folder.clone(), facade.clone()).await?,
        stock_svc::open(folder.clone(), facade.clone()).await?,
        points_svc::open(folder.clone(), facade.clone()).await?,
        payment_svc::open(folder.clone(), facade.clone()).await?,
    ];
    let mut services = Vec::new();
    for (offset, mount) in (1..).zip(mounts) {
        services.push(serve_one(mount, &facade, listen(settings.port_base, offset).await?)?);
    }

    let node = orchestrator::Settings {
        data: settings.data.clone(),
        addresses: settings.participants.into_iter().collect::<BTreeMap<_, _>>(),
        in_process: services
            .iter()
            .map(|served| (served.name.to_owned(), served.service.in_process()))
            .collect(),
        sagas: settings.sagas,
    };
    let node = Node::open(node, &facade).await?;
    let addresses = Addresses {
        orchestrator: local_address(&orchestrator)?,
        order: services[0].address,
        stock: services[1].address,
        points: services[2].address,
        payment: services[3].address,
    };
    Ok(Mesh { addresses, data: settings.data, clock, node, orchestrator, services })
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

    /// The orchestrator.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Serves until `stop` completes, then drains: the orchestrator first, so that its sagas can still be answered.
    ///
    /// # Errors
    /// When a listener fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), String> {
        let drained = CancellationToken::new();
        let mut serving = tokio::task::JoinSet::new();
        for Served { service, health, listener, .. } in self.services {
            let (clock, drained) = (self.clock.clone(), drained.clone());
            serving.spawn(async move {
                health.set_ready(true).await;
                let stopping = async {
                    drained.cancelled().await;
                    health.set_ready(false).await;
                };
                server::serve(service, listener, &clock, stopping)
                    .await
                    .map_err(|error| error.to_string())
            });
        }
        let orchestrated = self.node.run(self.orchestrator, stop).await;
        drained.cancel();
        let mut outcome = orchestrated;
        while let Some(served) = serving.join_next().await {
            outcome = outcome.and(served.unwrap_or_else(|error| Err(error.to_string())));
        }
        outcome
    }
}

fn serve_one(mount: Mount, facade: &Facade, listener: TcpListener) -> Result<Served, String> {
    let name = mount.name();
    let (service, health) = Server::new(facade.clone()).with(mount).build();
    let address = local_address(&listener)?;
    Ok(Served { name, service, health, listener, address })
}

async fn listen(port_base: u16, offset: u16) -> Result<TcpListener, String> {
    let port = match port_base {
        0 => 0,
        base => base.checked_add(offset).ok_or_else(|| {
            format!("the port base {base} leaves no room for five ports: choose one below 65531")
        })?,
    };
    server::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| format!("the listener has no address: {error}"))
}
