//! A process's gRPC server: the services behind the facade, reflection, health, and limits.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use prost_reflect::DescriptorPool;
use tokio::net::TcpListener;
use tonic::{
    body::Body, server::NamedService, service::RoutesBuilder, transport::server::TcpIncoming,
};
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

pub use crate::mount::{Mount, Mounting};
use crate::{
    Facade,
    dispatch::{Dispatch, Methods, Routes},
    entry,
    foreign::{Beside, Marked},
    reflection::{self, Shown},
};

/// Health keys beside the services' names: does the process run, and can it take work?
const LIVENESS: &str = "liveness";
const READINESS: &str = "readiness";

/// How long a connection may finish what it has when the server stops.
pub const DRAIN: Duration = Duration::from_secs(5);

/// What a process serves. The same routes answer on a socket and, without one, within the process.
pub struct Server {
    facade: Facade,
    /// The tonic services: health, reflection, and what stands beside.
    beside: RoutesBuilder,
    routes: Routes,
    shown: Shown,
    health: Health,
}

impl Server {
    /// A server with reflection and health, and nothing else yet.
    #[must_use]
    pub fn new(facade: Facade) -> Self {
        let reporter = HealthReporter::new();
        let health = HealthService::from_health_reporter(reporter.clone());
        let shown = Shown::of_every_server();
        let mut beside = RoutesBuilder::default();
        beside.add_service(HealthServer::new(Marked(health)));
        beside.add_service(reflection::v1::server(shown.clone()));
        beside.add_service(reflection::v1alpha::server(shown.clone()));
        Self {
            facade,
            beside,
            routes: Routes::default(),
            shown,
            health: Health { reporter, names: Vec::new() },
        }
    }

    /// Adds a service.
    #[must_use]
    pub fn with(mut self, mount: Mount) -> Self {
        let Mount { name, pool, routes } = mount;
        self.routes.mount(routes);
        self.shown.add(name, &pool);
        self.health.names.push(name.to_owned());
        self
    }

    /// Adds a tonic service that is not written for the facade. Its calls pass the layers of every call; its messages are
    /// not looked at, and its answers pass as they are. Neither reflection nor health shows it by itself: see
    /// [`Server::show`].
    #[must_use]
    pub fn beside<S>(mut self, service: S) -> Self
    where
        S: tower::Service<
                http::Request<Body>,
                Response = http::Response<Body>,
                Error = Infallible,
                Future: Send + 'static,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.beside.add_service(Beside(service));
        self
    }

    /// Where methods that are known only at run time are added.
    #[must_use]
    pub fn methods(&self) -> Methods {
        self.routes.methods.clone()
    }

    /// Shows a service that is served by [`Server::methods`] or [`Server::beside`] in reflection and health.
    pub fn show(&mut self, service: &str, pool: &DescriptorPool) {
        self.shown.add(service, pool);
        self.health.names.push(service.to_owned());
    }

    /// Closes the list of services.
    #[must_use]
    pub fn build(self) -> (Service, Health) {
        let entry = entry::Layer { facade: self.facade.clone(), routes: self.routes.clone() };
        let router = self
            .beside
            .routes()
            .into_axum_router()
            .fallback_service(Dispatch { facade: self.facade, routes: self.routes })
            // Outermost: every route and the fallback are behind it.
            .layer(entry);
        (Service { routes: tonic::service::Routes::from(router) }, self.health)
    }
}

/// A built server: call it within the process, or [`serve`] it.
#[derive(Clone, Debug)]
pub struct Service {
    routes: tonic::service::Routes,
}

impl Service {
    /// The routes as a tower service, for calls from within the process.
    #[must_use]
    pub fn in_process(&self) -> tonic::service::Routes {
        self.routes.clone()
    }
}

/// What `grpc.health.v1` says of the process: "" and `liveness` from the first moment, `readiness` and every service
/// while it can take work.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    names: Vec<String>,
}

impl Health {
    /// Says whether the process can take work.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        for name in self.names.iter().map(String::as_str).chain(["", READINESS]) {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Takes the address.
///
/// # Errors
/// A sentence with the cure when the port is taken or the address is not this machine's.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "the port {} is taken: stop the process that listens there, or choose another port",
            address.port()
        ),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

/// Serves until `stop` completes, then lets connections finish what they have, for [`DRAIN`] at most.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    clock: &clock::Clock,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let (draining, mut drained) = tokio::sync::watch::channel(false);
    let stop = async move {
        stop.await;
        let _ = draining.send(true);
    };
    // Nagle's algorithm with delayed acknowledgements costs 40 ms a call, so it is off on every socket.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = tonic::transport::Server::builder()
        // Unset limits would switch the HTTP/2 library's own off.
        .max_concurrent_streams(1024)
        .http2_max_pending_accept_reset_streams(Some(1024))
        .http2_max_local_error_reset_streams(Some(1024))
        .http2_max_header_list_size(64 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_routes(service.routes)
        .serve_with_incoming_shutdown(incoming, stop);
    tokio::select! {
        served = serving => served,
        () = async {
            if drained.wait_for(|draining| *draining).await.is_err() {
                std::future::pending::<()>().await;
            }
            clock.sleep(DRAIN).await;
        } => Ok(()),
    }
}
