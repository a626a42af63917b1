//! What `grpc.health.v1` says of a role: "" and `liveness` from the first moment, `readiness` and every service while it
//! can take work.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;
use tonic::service::RoutesBuilder;
use tonic_health::{
    ServingStatus,
    pb::health_server::HealthServer,
    server::{HealthReporter, HealthService},
};

use crate::foreign::Marked;

/// Health keys beside the services' names: does the process run, and can it take work?
const LIVENESS: &str = "liveness";
const READINESS: &str = "readiness";

/// Bytes of a request.
const MAX_REQUEST: usize = 4096;

/// The health of a role, and what is said of it. Cheap to clone; all clones tell of the same services.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    names: Arc<watch::Sender<BTreeSet<String>>>,
}

impl Health {
    /// A health service, alone on new routes.
    pub(crate) fn new() -> (Self, RoutesBuilder) {
        let reporter = HealthReporter::new();
        let service = HealthService::from_health_reporter(reporter.clone());
        let mut routes = RoutesBuilder::default();
        // Its requests are a service's name. On the admin listener nothing else holds them to a size.
        let service = HealthServer::new(Marked(service)).max_decoding_message_size(MAX_REQUEST);
        routes.add_service(service);
        (Self { reporter, names: Arc::default() }, routes)
    }

    /// Tells of this service too, from when [`Health::set_ready`] is called next.
    pub(crate) fn add(&self, service: &str) {
        self.names.send_if_modified(|names| names.insert(service.to_owned()));
    }

    /// The services that it tells of.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.names.borrow().clone()
    }

    /// A receiver that is notified when it tells of another service.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeSet<String>> {
        self.names.subscribe()
    }

    /// Says whether the whole role can take work.
    pub(crate) async fn set_ready(&self, ready: bool) {
        self.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        for name in self.names().iter().map(String::as_str).chain(["", READINESS]) {
            self.set(name, ready).await;
        }
    }

    /// Says whether one service can take work.
    pub(crate) async fn set(&self, name: &str, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(name, status).await;
    }
}
