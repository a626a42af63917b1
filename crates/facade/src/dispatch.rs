//! Which method a path names, and what answers it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use prost_reflect::MethodDescriptor;
use tonic::{Status, body::Body};

use crate::{
    Facade,
    dynamic::{Dynamic, Handler},
    entry::Request,
};

/// A method behind the facade.
pub(crate) trait Route: Send + Sync {
    fn method(&self) -> &MethodDescriptor;

    fn serve(
        self: Arc<Self>,
        facade: Facade,
        request: Request,
    ) -> BoxFuture<'static, http::Response<Body>>;
}

type ByPath = HashMap<String, Arc<dyn Route>>;

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// The methods that are known only at run time, by path. Cheap to clone; grows while the server runs.
#[derive(Clone, Default)]
pub struct Methods {
    by_path: Arc<ArcSwap<ByPath>>,
}

impl Methods {
    /// Serves `method` by `handler` from now on, in place of an earlier handler. A method of a service that is mounted
    /// stays that service's.
    pub fn serve(&self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        let route: Arc<dyn Route> = Arc::new(Dynamic { method: method.clone(), handler });
        self.by_path.rcu(|methods| {
            let mut methods = ByPath::clone(methods);
            methods.insert(path(method), Arc::clone(&route));
            methods
        });
    }
}

/// Every method behind the facade.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    mounted: Arc<ByPath>,
    pub(crate) methods: Methods,
}

impl Routes {
    pub(crate) fn mount(&mut self, routes: Vec<Arc<dyn Route>>) {
        let routes = routes.into_iter().map(|route| (path(route.method()), route));
        Arc::make_mut(&mut self.mounted).extend(routes);
    }

    pub(crate) fn find(&self, path: &str) -> Option<Arc<dyn Route>> {
        let mounted = self.mounted.get(path).cloned();
        mounted.or_else(|| self.methods.by_path.load().get(path).cloned())
    }
}

/// The tower service that answers every path which no tonic service has. What it refuses is told by
/// [`crate::unanswered`], as what tonic refuses is.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub(crate) facade: Facade,
    pub(crate) routes: Routes,
}

impl tower::Service<Request> for Dispatch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(route) = self.routes.find(request.uri().path()) else {
            return Box::pin(async { Ok(Status::unimplemented("").into_http()) });
        };
        let answered = route.serve(self.facade.clone(), request);
        Box::pin(async move { Ok(answered.await) })
    }
}
