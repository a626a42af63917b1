//! What `grpc.health.v1` says of a role: "" and `liveness` from the first moment, `readiness` and every service while it
//! can take work.

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

/// The health of a role, and what is said of it.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    names: Vec<String>,
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
        (Self { reporter, names: Vec::new() }, routes)
    }

    /// Tells of this service too.
    pub(crate) fn add(&mut self, service: &str) {
        self.names.push(service.to_owned());
    }

    /// The services that it tells of.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Says whether the whole role can take work.
    pub(crate) async fn set_ready(&self, ready: bool) {
        self.reporter.set_service_status(LIVENESS, ServingStatus::Serving).await;
        for name in self.names.iter().map(String::as_str).chain(["", READINESS]) {
            self.set(name, ready).await;
        }
    }

    /// Says whether one service can take work.
    pub(crate) async fn set(&self, name: &str, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(name, status).await;
    }
}
