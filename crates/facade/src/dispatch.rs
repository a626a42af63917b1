//! Which method a path names, what answers it, and how large its requests may be.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use prost_reflect::MethodDescriptor;
use proto::rules::Bounds;
use tonic::body::Body;

use crate::{
    Facade,
    config::Requests,
    dynamic::{Dynamic, Handler},
    measures::{CallMeasures, MethodSeries},
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
    pub(crate) series: MethodSeries,
    is_mounted: bool,
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

/// Every method behind the facade, by path. Cheap to clone; all clones see what is added.
#[derive(Clone)]
pub(crate) struct Routes {
    limits: Requests,
    measures: CallMeasures,
    by_path: Arc<ArcSwap<ByPath>>,
}

impl Routes {
    pub(crate) fn new(limits: &Requests, measures: &CallMeasures) -> Self {
        Self { limits: limits.clone(), measures: measures.clone(), by_path: Arc::default() }
    }

    /// Adds methods whose messages are known when the program is built.
    pub(crate) fn mount(&self, routes: Vec<Arc<dyn Route>>) {
        for route in routes {
            self.add(self.method(route, true));
        }
    }

    /// Adds a method that is known only at run time, in the place of an earlier one of that path; one that is mounted
    /// stays. Calls that are under way go on with what they found.
    pub(crate) fn serve(&self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        let route = Dynamic { method: method.clone(), handler };
        self.add(self.method(Arc::new(route), false));
    }

    /// The same, without keeping the methods alive.
    pub(crate) fn downgrade(&self) -> WeakRoutes {
        WeakRoutes {
            limits: self.limits.clone(),
            measures: self.measures.clone(),
            by_path: Arc::downgrade(&self.by_path),
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<Arc<Method>> {
        self.by_path.load().get(path).cloned()
    }

    fn add(&self, method: Arc<Method>) {
        let path = path(method.route.method());
        self.by_path.rcu(|known| {
            let mut known = ByPath::clone(known);
            if method.is_mounted || known.get(&path).is_none_or(|earlier| !earlier.is_mounted) {
                known.insert(path.clone(), Arc::clone(&method));
            }
            known
        });
    }

    fn method(&self, route: Arc<dyn Route>, is_mounted: bool) -> Arc<Method> {
        let bounds = Bounds::of(&route.method().input());
        let max_size = MaxSize::of(&bounds, &self.limits);
        let series = self.measures.of_method(&path(route.method()));
        Arc::new(Method { route, bounds, max_size, series, is_mounted })
    }
}

/// The methods of a server, for as long as there is the server: what answers one of them may serve others.
#[derive(Clone)]
pub(crate) struct WeakRoutes {
    limits: Requests,
    measures: CallMeasures,
    by_path: Weak<ArcSwap<ByPath>>,
}

impl WeakRoutes {
    pub(crate) fn upgrade(&self) -> Option<Routes> {
        let by_path = self.by_path.upgrade()?;
        Some(Routes { limits: self.limits.clone(), measures: self.measures.clone(), by_path })
    }
}
