//! A role's gRPC server: the services behind the facade, reflection and health.

use std::{convert::Infallible, sync::Arc};

use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::{Status, body::Body, server::NamedService, service::RoutesBuilder};

pub use crate::mount::{Mount, Mounting};
use crate::{
    Facade,
    budget::Budget,
    dispatch::{Routes, WeakRoutes},
    dynamic::Handler,
    entry,
    foreign::Beside,
    health::Health,
    layers::InFlight,
    reflection::{self, DescribedServices},
};

/// What a process serves. The same routes answer on a socket and, without one, within the process.
pub struct Server {
    facade: Facade,
    /// The tonic services: health, reflection, and what stands beside.
    beside: RoutesBuilder,
    routes: Routes,
    shown: DescribedServices,
    health: Health,
}

impl Server {
    /// A server with reflection and health, and nothing else yet.
    #[must_use]
    pub fn new(facade: Facade) -> Self {
        let (health, beside) = Health::new();
        let shown = DescribedServices::of_every_server();
        let layers = facade.layers();
        let routes = Routes::new(layers.budget().request_limits(), layers.measures());
        Self { facade, beside, routes, shown, health }
    }

    /// Adds a service.
    #[must_use]
    pub fn with(self, mount: Mount) -> Self {
        let Mount { name, pool, routes, databases: _ } = mount;
        self.routes.mount(routes);
        self.shown.add(name, &pool);
        self.health.add(name);
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

    /// What can be served beside the mounted services, now and while the server runs.
    #[must_use]
    pub fn dynamic(&self) -> DynamicMethods {
        let (routes, shown) = (self.routes.downgrade(), self.shown.clone());
        DynamicMethods { routes, shown, health: self.health.clone() }
    }

    /// Serves a method that is known only at run time. One of a service that is mounted stays that service's.
    pub fn serve(&mut self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        self.dynamic().serve(method, handler);
    }

    /// Shows a service that is served by [`Server::serve`] or [`Server::beside`] in reflection and health.
    pub fn show(&mut self, service: &str, pool: &DescriptorPool) {
        self.dynamic().show(service, pool);
    }

    /// Closes the list of services.
    #[must_use]
    pub fn build(mut self) -> (Service, Health) {
        self.beside.add_service(reflection::v1::server(self.shown.clone()));
        self.beside.add_service(reflection::v1alpha::server(self.shown));
        let budget = self.facade.budget().clone();
        let in_flight = Arc::clone(self.facade.layers().in_flight());
        let entry = entry::Layer { facade: self.facade, routes: self.routes };
        let router = self
            .beside
            .routes()
            .into_axum_router()
            // Told by `unanswered`, as what tonic refuses is.
            .fallback_service(tower::service_fn(async |_: entry::Request| {
                Ok::<_, Infallible>(Status::unimplemented("").into_http::<Body>())
            }))
            // This layer is the outermost, so that every route and the fallback are behind it.
            .layer(entry);
        let routes = tonic::service::Routes::from(router);
        (Service { routes, budget, in_flight }, self.health)
    }
}

/// The methods of a server that are known only at run time, before it is built and while it runs. Cheap to clone. What answers
/// a method of the server may hold it: it keeps no server alive.
#[derive(Clone)]
pub struct DynamicMethods {
    routes: WeakRoutes,
    shown: DescribedServices,
    health: Health,
}

impl DynamicMethods {
    /// Answers the method by `handler` from the next call on, whatever answered it before; one of a service that is mounted
    /// stays that service's. Calls that are under way go on as they began. Reflection and health show nothing of it by
    /// themselves: see [`DynamicMethods::show`].
    pub fn serve(&self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        if let Some(routes) = self.routes.upgrade() {
            routes.serve(method, handler);
        }
    }

    /// Shows a service in reflection, by this pool from now on, and in health.
    pub fn show(&self, service: &str, pool: &DescriptorPool) {
        self.shown.add(service, pool);
        self.health.add(service);
    }
}

/// Whether every server has this service: health, or reflection. Nobody else can serve it.
#[must_use]
pub fn is_of_every_server(service: &str) -> bool {
    reflection::OF_EVERY_SERVER.iter().any(|(name, _)| *name == service)
}

/// A built server: call it within the process, or have the process serve it.
#[derive(Clone, Debug)]
pub struct Service {
    routes: tonic::service::Routes,
    budget: Budget,
    in_flight: Arc<InFlight>,
}

impl Service {
    /// The routes as a tower service, for calls from within the process.
    #[must_use]
    pub fn in_process(&self) -> tonic::service::Routes {
        self.routes.clone()
    }

    /// The calls that it has in flight.
    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    /// What its connections take their bytes from.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }
}
