//! Unary methods that are known only at run time, served behind the same facade.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use proto::rules::{Violation, dynamic_violations};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, UnaryService},
};

use crate::{Call, Facade, Failure, Reply, codec::Raw, layers::Asked, respond::Described};

/// What answers a dynamic method. The request is sound by the method's rules when it arrives.
pub trait Handler: Send + Sync + 'static {
    /// Answers one call; the facade fills the response's `result` where its type has one.
    fn handle(
        &self,
        call: Call,
        request: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>>;
}

#[derive(Clone)]
struct Served {
    descriptor: MethodDescriptor,
    handler: Arc<dyn Handler>,
}

/// The methods that are served, by path. Cheap to clone; grows while the server runs.
#[derive(Clone, Default)]
pub struct Methods {
    by_path: Arc<ArcSwap<HashMap<String, Served>>>,
}

impl Methods {
    /// Serves `method` by `handler` from now on, in place of an earlier handler.
    pub fn serve(&self, method: &MethodDescriptor, handler: Arc<dyn Handler>) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let served = Served { descriptor: method.clone(), handler };
        self.by_path.rcu(|methods| {
            let mut methods = HashMap::clone(methods);
            methods.insert(path.clone(), served.clone());
            methods
        });
    }

    /// What is known of the method at this path.
    pub(crate) fn descriptor(&self, path: &str) -> Option<MethodDescriptor> {
        self.find(path).map(|served| served.descriptor)
    }

    fn find(&self, path: &str) -> Option<Served> {
        self.by_path.load().get(path).cloned()
    }
}

/// The tower service that answers every path which no typed service has. What it refuses is told by
/// [`crate::unanswered`], as what tonic refuses is.
#[derive(Clone)]
pub(crate) struct Fallback {
    facade: Facade,
    methods: Methods,
}

impl Fallback {
    pub(crate) fn new(facade: Facade, methods: Methods) -> Self {
        Self { facade, methods }
    }
}

impl<B> tower::Service<http::Request<B>> for Fallback
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let Some(served) = self.methods.find(request.uri().path()) else {
            return Box::pin(async { Ok(Status::unimplemented("").into_http()) });
        };
        let method = Method { facade: self.facade.clone(), served };
        Box::pin(async move { Ok(Grpc::new(Raw).unary(method, request).await) })
    }
}

struct Method {
    facade: Facade,
    served: Served,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (facade, served) = (self.facade.clone(), self.served.clone());
        Box::pin(async move { answer(&facade, &served, request).await })
    }
}

async fn answer(
    facade: &Facade,
    served: &Served,
    request: tonic::Request<Bytes>,
) -> Result<tonic::Response<Bytes>, Status> {
    let (_, extensions, body) = request.into_parts();
    let input = served.descriptor.input();
    let message = DynamicMessage::decode(input.clone(), body.as_ref()).map_err(|error| {
        Status::invalid_argument(format!("it is no {}: {error}", input.full_name()))
    })?;
    let call = Call::arrived(&extensions, body)?;
    let passed = facade.layers().before_handler(&message);
    let shape = Described(served.descriptor.output());
    let handler = |call| served.handler.handle(call, message);
    facade.answer(&call, passed, &shape, handler).await
}

impl Asked for DynamicMessage {
    fn violations(&self) -> Vec<Violation> {
        dynamic_violations(self)
    }

    fn shown(&self) -> Option<DynamicMessage> {
        Some(self.clone())
    }
}
