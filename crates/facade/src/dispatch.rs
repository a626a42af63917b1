//! Which method a path names, what answers it, and how large its requests may be.

use std::{collections::HashMap, sync::Arc};

use futures::future::BoxFuture;
use prost_reflect::MethodDescriptor;
use proto::rules::Bounds;
use tonic::body::Body;

use crate::{
    Facade,
    config::Requests,
    dynamic::{Dynamic, Handler},
    request_body::RequestBody,
};

/// Beside what the rules allow, a message has room for this and as much again: for fields that only its sender knows.
const SIZE_SLACK: usize = 16 * 1024;

/// Answers a method behind the facade.
pub(crate) trait Route: Send + Sync {
    fn method(&self) -> &MethodDescriptor;

    fn serve(
        self: Arc<Self>,
        facade: Facade,
        method: Arc<Method>,
        request: http::Request<RequestBody>,
    ) -> BoxFuture<'static, http::Response<Body>>;
}

/// A method behind the facade.
pub(crate) struct Method {
    pub(crate) route: Arc<dyn Route>,
    pub(crate) bounds: Bounds,
    pub(crate) max_size: MaxSize,
}

/// How large a message may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxSize {
    pub(crate) bytes: usize,
    /// Whether the rules of its fields say so.
    pub(crate) by_rules: bool,
}

impl MaxSize {
    /// Where there are no rules.
    pub(crate) fn without_rules(limits: &Requests) -> Self {
        Self { bytes: limits.max_size.get(), by_rules: false }
    }

    fn of(bounds: &Bounds, limits: &Requests) -> Self {
        let Some(largest) = bounds.largest() else { return Self::without_rules(limits) };
        let bytes = largest.saturating_mul(2).saturating_add(SIZE_SLACK);
        Self { bytes: bytes.min(limits.bytes_per_connection.get()), by_rules: true }
    }
}

type ByPath = HashMap<String, Arc<Method>>;

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Every method behind the facade, by path. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    limits: Requests,
    by_path: Arc<ByPath>,
}

impl Routes {
    pub(crate) fn new(limits: &Requests) -> Self {
        Self { limits: limits.clone(), by_path: Arc::default() }
    }

    /// Adds methods whose messages are known when the program is built.
    pub(crate) fn mount(&mut self, routes: Vec<Arc<dyn Route>>) {
        for route in routes {
            let method = self.method(route);
            Arc::make_mut(&mut self.by_path).insert(path(method.route.method()), method);
        }
    }

    /// Adds a method that is known only at run time, unless one of that path is there.
    pub(crate) fn add(&mut self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        let route = Dynamic { method: method.clone(), handler };
        let added = self.method(Arc::new(route));
        Arc::make_mut(&mut self.by_path).entry(path(method)).or_insert(added);
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(path)
    }

    fn method(&self, route: Arc<dyn Route>) -> Arc<Method> {
        let bounds = Bounds::of(&route.method().input());
        let max_size = MaxSize::of(&bounds, &self.limits);
        Arc::new(Method { route, bounds, max_size })
    }
}
