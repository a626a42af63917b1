//! Where every call comes in and goes out, around all routes: on a socket and within the process, whoever answers it.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context as Waker, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use http::uri::PathAndQuery;
use tonic::{Code, service::AxumBody};
use tracing::Instrument;

use crate::{
    Facade, Failure,
    context::Context,
    deadline,
    dispatch::{MaxSize, Method, Routes},
    end::End,
    layers::{CallGuards, Head, Layers},
    request_body::RequestBody,
    unanswered::{self, Refusal},
};

pub(crate) type Request = http::Request<AxumBody>;
pub(crate) type Response = http::Response<AxumBody>;

/// Puts [`Entry`] around every route.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) facade: Facade,
    pub(crate) routes: Routes,
}

impl<S> tower::Layer<S> for Layer {
    type Service = Entry<S>;

    fn layer(&self, inner: S) -> Entry<S> {
        Entry { inner, layer: self.clone() }
    }
}

/// Takes each call past the layers, in and out, to the method behind the facade that its path names. What no such method
/// has is for the tonic services inside.
#[derive(Clone)]
pub(crate) struct Entry<S> {
    inner: S,
    layer: Layer,
}

impl<S> tower::Service<Request> for Entry<S>
where
    S: tower::Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, waker: &mut Waker<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(waker)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let root = PathAndQuery::from_static("/");
        let head = Head {
            path: request.uri().path_and_query().unwrap_or(&root),
            headers: request.headers(),
            extensions: request.extensions(),
        };
        let method = self.layer.routes.find(head.path.path());
        let (context, held) = self.layer.facade.layers().before(&head, method.as_deref());
        let (scope, span) = (Layers::scope(&context), context.span().span().clone());
        request.extensions_mut().insert(Arc::clone(&context));
        let answered = held.map(|held| {
            let request = self.layer.bounded(request, &context, method.as_deref());
            let answered = match &method {
                Some(method) => self.layer.serve(method, request),
                None => self.inner.call(request.map(AxumBody::new)).boxed(),
            };
            (held, answered)
        });
        let layer = self.layer.clone();
        let answer = async move { Ok(layer.answer(context, method.as_deref(), answered).await) };
        Box::pin(scope.run(answer.instrument(span)))
    }
}

type Answered = BoxFuture<'static, Result<Response, Infallible>>;

impl Layer {
    /// The request with a body that holds no more than it may.
    fn bounded(
        &self,
        request: Request,
        context: &Arc<Context>,
        method: Option<&Method>,
    ) -> http::Request<RequestBody> {
        let (clock, context) = (self.facade.clock().clone(), Arc::clone(context));
        let max_size = match method {
            Some(method) => method.max_size,
            None => MaxSize::without_rules(context.budget().request_limits()),
        };
        request.map(|body| RequestBody::new(body, context, clock, max_size, method.is_some()))
    }

    fn serve(&self, method: &Arc<Method>, request: http::Request<RequestBody>) -> Answered {
        let route = Arc::clone(&method.route);
        let answered = route.serve(self.facade.clone(), Arc::clone(method), request);
        Box::pin(async move { Ok(answered.await.map(AxumBody::new)) })
    }

    async fn answer(
        &self,
        context: Arc<Context>,
        method: Option<&Method>,
        answered: Result<(CallGuards, Answered), Failure>,
    ) -> Response {
        let call = Unanswered { layers: self.facade.layers(), context: &context, method };
        let (_held, answered) = match answered {
            Ok(admitted) => admitted,
            Err(failure) => return call.refuse(failure.into()),
        };
        let answered = match time_for(&context) {
            None => Ok(answered.await),
            Some(limit) => self.facade.clock().timeout(limit, answered).await,
        };
        let Ok(Ok(response)) = answered else {
            return call.refuse(Failure::deadline_exceeded().into());
        };
        if let Some(refused) = context.refused() {
            return call.refuse(Failure::from(refused).into());
        }
        if let Some(end) = context.end() {
            call.answered(end);
            return response;
        }
        match unanswered::refusal(&context, &response) {
            Some(refusal) => call.refuse(refusal),
            None => {
                call.answered(&End::foreign(Code::Ok));
                response
            }
        }
    }
}

/// A call that has no answer yet. Dropped, it is one whose caller went away.
struct Unanswered<'a> {
    layers: &'a Layers,
    context: &'a Context,
    method: Option<&'a Method>,
}

impl Unanswered<'_> {
    fn answered(self, end: &End) {
        self.layers.after(self.context, self.method, end);
        // It holds nothing but references.
        std::mem::forget(self);
    }

    /// Tells what no handler has answered like every other failure.
    fn refuse(self, refusal: Refusal) -> Response {
        let method = self.method.map(|method| method.route.method());
        let (end, response) = refusal.into_response(self.context, method);
        self.answered(&end);
        response
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.layers.cancelled(self.context, self.method);
    }
}

/// How long the call may go without an answer. Within the process there is no such limit: the caller times its call
/// itself, and the body comes with the request.
fn time_for(context: &Context) -> Option<std::time::Duration> {
    context.identity().caller.peer?;
    context.limit.map(deadline::latest)
}
