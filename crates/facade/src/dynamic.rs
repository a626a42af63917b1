//! Unary methods that are known only at run time, served behind the same facade.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use proto::{canonical, facade::v1::ResultInfo, rules::dynamic_violations};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, UnaryService},
};

use crate::{
    Call, Facade, Failure, Reply,
    codec::Raw,
    pipeline::{Asked, Shape},
    redact,
    reply::Payload,
    result::{fill_result, result_of},
};

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

/// The tower service that answers every path which no typed service has. What it refuses has no details yet: that is
/// for [`crate::unanswered`].
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
        let path = request.uri().path().to_owned();
        let Some(served) = self.methods.find(&path) else {
            return Box::pin(async { Ok(Status::unimplemented("").into_http()) });
        };
        let method = Method { facade: self.facade.clone(), served, path };
        Box::pin(async move { Ok(Grpc::new(Raw).unary(method, request).await) })
    }
}

struct Method {
    facade: Facade,
    served: Served,
    path: String,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (facade, served, path) = (self.facade.clone(), self.served.clone(), self.path.clone());
        Box::pin(async move { answer(&facade, &served, &path, request).await })
    }
}

async fn answer(
    facade: &Facade,
    served: &Served,
    path: &str,
    request: tonic::Request<Bytes>,
) -> Result<tonic::Response<Bytes>, Status> {
    let input = served.descriptor.input();
    let message =
        DynamicMessage::decode(input.clone(), request.get_ref().as_ref()).map_err(|error| {
            Status::invalid_argument(format!("it is no {}: {error}", input.full_name()))
        })?;
    let output = served.descriptor.output();
    let shape = Shape {
        blank: || DynamicMessage::new(output.clone()),
        fill: |payload, result| fill(&output, payload, result),
        show: |response: &Bytes| redact::shown(Some(output.clone()), response),
    };
    let shown = redact::wanted().then(|| message.clone());
    let asked = Asked { broken: dynamic_violations(&message), shown, waited: Duration::ZERO };
    let handler = Arc::clone(&served.handler);
    facade.run(path, request, asked, shape, |call| handler.handle(call, message)).await
}

/// What goes out, and whether its type has a result.
fn fill(
    kind: &MessageDescriptor,
    payload: Payload<DynamicMessage>,
    result: ResultInfo,
) -> (Bytes, bool) {
    match payload {
        Payload::Typed(mut message) => {
            let filled = fill_result(&mut message, result);
            // A repeat must get its maps as the first answer had them.
            (canonical::encode(message).into(), filled)
        }
        Payload::Stored(bytes) => {
            let Some(field) = result_of(kind) else { return (bytes, false) };
            let mut whole = Vec::from(bytes);
            prost::encoding::message::encode(field.number(), &result, &mut whole);
            (whole.into(), true)
        }
    }
}
