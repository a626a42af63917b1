//! Services on the same routes whose handlers are not ours: health, reflection, and hand-written tonic services. They
//! pass the layers like every call; what they answer passes as it is.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context as Waker, Poll},
};

use futures::future::BoxFuture;
use tonic::{Code, Status, body::Body, server::NamedService};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server::Health};

use crate::{context::Context, end::End, status::GRPC_STATUS};

/// The call that a handler of such a service answers.
pub(crate) struct Foreign(Option<Arc<Context>>);

impl Foreign {
    pub(crate) fn call<T>(request: &tonic::Request<T>) -> Self {
        Self(Context::of(request.extensions()))
    }

    /// Marks the answer as the service's own. What tonic refuses before the handler stays without the mark.
    pub(crate) fn answered<T>(&self, answer: Result<T, Status>) -> Result<T, Status> {
        if let Some(context) = &self.0 {
            context.ended(End::foreign(answer.as_ref().map_or_else(Status::code, |_| Code::Ok)));
        }
        answer
    }
}

/// gRPC's health service, with its answers marked.
pub(crate) struct Marked<H>(pub(crate) H);

#[tonic::async_trait]
impl<H: Health> Health for Marked<H> {
    type WatchStream = H::WatchStream;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let call = Foreign::call(&request);
        call.answered(self.0.check(request).await)
    }

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<H::WatchStream>, Status> {
        let call = Foreign::call(&request);
        call.answered(self.0.watch(request).await)
    }
}

/// A hand-written tonic service. Nothing shows from outside whether its handler answered or tonic for it, so both count
/// as its answers, but for a method that it does not have.
#[derive(Clone, Debug)]
pub(crate) struct Beside<S>(pub(crate) S);

impl<S: NamedService> NamedService for Beside<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> tower::Service<http::Request<Body>> for Beside<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, waker: &mut Waker<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(waker)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let context = request.extensions().get::<Arc<Context>>().cloned();
        let answered = self.0.call(request);
        Box::pin(async move {
            let response = answered.await?;
            if let Some(context) = context.filter(|_| !is_without_method(&response)) {
                let status = Status::from_header_map(response.headers());
                context.ended(End::foreign(status.map_or(Code::Ok, |status| status.code())));
            }
            Ok(response)
        })
    }
}

/// Generated servers write this one answer by hand; every other status stands in the response's extensions too.
fn is_without_method(response: &http::Response<Body>) -> bool {
    response.headers().contains_key(&GRPC_STATUS) && response.extensions().get::<Status>().is_none()
}
