//! A role's gRPC server: the services behind the facade, reflection and health.

use std::convert::Infallible;

use prost_reflect::DescriptorPool;
use store::Database;
use tonic::{
    body::Body,
    server::NamedService,
    service::{Routes, RoutesBuilder},
};

use crate::{
    Facade,
    dynamic::{Fallback, Methods},
    entry,
    foreign::Beside,
    health::Health,
    reflection::{self, Shown},
};

type Add = Box<dyn FnOnce(Facade, &mut RoutesBuilder) + Send>;

/// One service, ready to be served behind the facade.
pub struct Mount {
    name: &'static str,
    add: Add,
    databases: Vec<Database>,
}

impl Mount {
    pub(crate) fn new(
        name: &'static str,
        add: impl FnOnce(Facade, &mut RoutesBuilder) + Send + 'static,
    ) -> Self {
        Self { name, add: Box::new(add), databases: Vec::new() }
    }

    /// A service that can take work while this database works. The process closes it at its end.
    #[must_use]
    pub fn on(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// The databases that it stands on.
    pub(crate) fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The service's full name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What a process serves. The same routes answer on a socket and, without one, within the process.
pub struct Server {
    facade: Facade,
    routes: RoutesBuilder,
    shown: Shown,
    methods: Methods,
    health: Health,
}

impl Server {
    /// A server with reflection and health, and nothing else yet.
    #[must_use]
    pub fn new(facade: Facade) -> Self {
        let (health, mut routes) = Health::new();
        let shown = Shown::of_every_server();
        routes.add_service(reflection::v1::server(shown.clone()));
        routes.add_service(reflection::v1alpha::server(shown.clone()));
        Self { facade, routes, shown, methods: Methods::default(), health }
    }

    /// Adds a service of ours.
    #[must_use]
    pub fn with(mut self, mount: Mount) -> Self {
        let Mount { name, add, databases: _ } = mount;
        add(self.facade.clone(), &mut self.routes);
        self.shown.add(name, proto::descriptors());
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
        self.routes.add_service(Beside(service));
        self
    }

    /// Where methods that are known only at run time are added.
    #[must_use]
    pub fn methods(&self) -> Methods {
        self.methods.clone()
    }

    /// Shows a service that is served by [`Server::methods`] or [`Server::beside`] in reflection and health.
    pub fn show(&mut self, service: &str, pool: &DescriptorPool) {
        self.shown.add(service, pool);
        self.health.add(service);
    }

    /// Closes the list of services.
    #[must_use]
    pub fn build(self) -> (Service, Health) {
        let entry = entry::Layer { facade: self.facade.clone(), methods: self.methods.clone() };
        let router = self
            .routes
            .routes()
            .into_axum_router()
            .fallback_service(Fallback::new(self.facade, self.methods))
            // Outermost: every route and the fallback are behind it.
            .layer(entry);
        (Service { routes: Routes::from(router) }, self.health)
    }
}

/// A built server: call it within the process, or have the process serve it.
#[derive(Clone, Debug)]
pub struct Service {
    routes: Routes,
}

impl Service {
    /// The routes as a tower service, for calls from within the process.
    #[must_use]
    pub fn in_process(&self) -> Routes {
        self.routes.clone()
    }
}
