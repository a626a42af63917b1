//! The whole mesh in one process: the orchestrator and the four services, each on a port of its own, calling each other
//! without the network in between.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::pin,
};

use clock::Clock;
use facade::{
    Facade,
    log::Calls,
    process,
    server::{self, Health, Mount, Server, Service},
};
use orchestrator::Node;
pub use orchestrator::{
    MAX_RUNNING,
    retention::{Keep, KeepAnswers},
};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::shop::SHOP;

/// What a mesh is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of its databases; made when it is missing.
    pub data: PathBuf,
    /// The orchestrator's port; the services are on the four that follow. 0: free ports.
    pub port_base: u16,
    /// A folder of definitions, beside the shop's.
    pub sagas: Option<PathBuf>,
    /// Services outside this process: full name and address. One of ours is called there then.
    pub participants: Vec<(String, String)>,
    /// Which calls are logged.
    pub calls: Calls,
    /// How many sagas may run at once; a start beyond them is refused, RESOURCE_EXHAUSTED.
    pub max_running: usize,
    /// How long sagas are kept after their end; for ever where it is left out.
    pub keep_finished: Option<Keep>,
    /// How long the idempotency keys of sagas that were removed are kept, from the end of the saga.
    pub keep_keys: KeepAnswers,
    /// How long the services' inboxes keep answers; for ever where it is left out.
    pub keep_inbox: Option<KeepAnswers>,
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
    let facade = Facade::new(clock.clone(), settings.calls).keeping_inbox(settings.keep_inbox);
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
        bundles: vec![SHOP],
        sagas: settings.sagas,
        max_running: settings.max_running,
        keep_finished: settings.keep_finished,
        keep_keys: settings.keep_keys,
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
    /// A service that can no longer be reached ends the whole mesh in the same way: sagas that call it would only wait.
    ///
    /// # Errors
    /// When a listener fails: which one, and why.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), String> {
        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        for service in self.services {
            serving.spawn(service.serve(self.clock.clone(), drained.clone()));
        }
        let orchestrated = self.node.run(self.orchestrator, stopping.clone().cancelled_owned());
        together(orchestrated, serving, stop, &stopping, &drained).await
    }
}

type Outcome = Result<(), String>;

impl Served {
    async fn serve(self, clock: Clock, drained: CancellationToken) -> Outcome {
        let Self { name, service, health, listener, address } = self;
        health.set_ready(true).await;
        let stopping = async {
            drained.cancelled().await;
            health.set_ready(false).await;
        };
        server::serve(service, listener, &clock, stopping).await.map_err(|error| {
            format!(
                "{name} no longer listens on {address}: {}; start the mesh again",
                facade::wire::causes(&error)
            )
        })
    }
}

/// Runs the orchestrator until `stop` completes or a service ends before it was told to, then the services to their
/// end. The first failure is the one that is told.
async fn together(
    orchestrated: impl Future<Output = Outcome>,
    mut serving: JoinSet<Outcome>,
    stop: impl Future<Output = ()>,
    stopping: &CancellationToken,
    drained: &CancellationToken,
) -> Outcome {
    let (mut orchestrated, mut stop) = (pin!(orchestrated), pin!(stop));
    let mut outcome = Ok(());
    let orchestrated = loop {
        tokio::select! {
            orchestrated = &mut orchestrated => break orchestrated,
            () = &mut stop, if !stopping.is_cancelled() => stopping.cancel(),
            Some(served) = serving.join_next() => {
                outcome = outcome.and(ended(served));
                stopping.cancel();
            }
        }
    };
    drained.cancel();
    outcome = outcome.and(orchestrated);
    while let Some(served) = serving.join_next().await {
        outcome = outcome.and(ended(served));
    }
    outcome
}

fn ended(served: Result<Outcome, JoinError>) -> Outcome {
    served.unwrap_or_else(|error| Err(format!("a service ended by itself: {error}")))
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// An orchestrator that runs until it is told to stop, and services of which one may fail by itself.
    async fn run(failing: Option<&'static str>, stop: impl Future<Output = ()>) -> Outcome {
        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        let until_drained = drained.clone();
        serving.spawn(async move {
            until_drained.cancelled().await;
            Ok(())
        });
        if let Some(why) = failing {
            serving.spawn(async move { Err(why.to_owned()) });
        }
        let orchestrated = async {
            stopping.cancelled().await;
            assert!(!drained.is_cancelled(), "services answer until the orchestrator has drained");
            Ok(())
        };
        together(orchestrated, serving, stop, &stopping, &drained).await
    }

    #[tokio::test]
    async fn a_service_that_can_no_longer_be_reached_ends_the_mesh_at_once() {
        assert_eq!(
            run(Some("the port is gone"), pending()).await,
            Err("the port is gone".to_owned())
        );
    }

    #[tokio::test]
    async fn a_service_that_panics_ends_the_mesh_too() {
        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(async { panic!("out of order") });
        let orchestrated = async {
            stopping.cancelled().await;
            Ok(())
        };
        let outcome = together(orchestrated, serving, pending(), &stopping, &drained).await;
        assert!(outcome.unwrap_err().contains("out of order"));
    }

    #[tokio::test]
    async fn a_mesh_that_is_told_to_stop_stops_well() {
        assert_eq!(run(None, ready(())).await, Ok(()));
    }

    #[tokio::test]
    async fn an_orchestrator_that_fails_takes_the_services_with_it() {
        let (stopping, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        let until_drained = drained.clone();
        serving.spawn(async move {
            until_drained.cancelled().await;
            Ok(())
        });
        let orchestrated = ready(Err("no journal".to_owned()));
        let outcome = together(orchestrated, serving, pending(), &stopping, &drained).await;
        assert_eq!(outcome, Err("no journal".to_owned()));
    }
}
