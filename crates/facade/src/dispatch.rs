//! Which method a path names, and what answers it.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

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

/// Every method behind the facade, by path. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    by_path: Arc<ByPath>,
}

impl Routes {
    /// Adds methods whose messages are known when the program is built.
    pub(crate) fn mount(&mut self, routes: Vec<Arc<dyn Route>>) {
        let routes = routes.into_iter().map(|route| (path(route.method()), route));
        Arc::make_mut(&mut self.by_path).extend(routes);
    }

    /// Adds a method that is known only at run time, unless one of that path is there.
    pub(crate) fn add(&mut self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        let route = Dynamic { method: method.clone(), handler };
        Arc::make_mut(&mut self.by_path).entry(path(method)).or_insert_with(|| Arc::new(route));
    }

    pub(crate) fn find(&self, path: &str) -> Option<Arc<dyn Route>> {
        self.by_path.get(path).cloned()
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
