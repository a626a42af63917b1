//! Where every call comes in and goes out, around all routes: on a socket and within the process, whoever answers it.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context as Waker, Poll},
};

use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use tonic::service::AxumBody;
use tracing::Instrument;

use crate::{
    Facade, Failure,
    context::Context,
    deadline,
    dispatch::Routes,
    layers::{CallGuards, Head},
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

/// Takes each call past the layers, in and out, and answers in the place of tonic.
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
        let layers = self.layer.facade.layers();
        let (context, held) = layers.before(&head);
        let span = layers.span(&context);
        request.extensions_mut().insert(Arc::clone(&context));
        let answered = held.map(|held| (held, self.inner.call(request)));
        let layer = self.layer.clone();
        Box::pin(async move { Ok(layer.answer(context, answered).await) }.instrument(span))
    }
}

impl Layer {
    async fn answer<F>(
        &self,
        context: Arc<Context>,
        answered: Result<(CallGuards, F), Failure>,
    ) -> Response
    where
        F: Future<Output = Result<Response, Infallible>>,
    {
        let (_held, answered) = match answered {
            Ok(admitted) => admitted,
            Err(failure) => return self.refuse(&context, failure.into()),
        };
        let answered = match time_for(&context) {
            None => Ok(answered.await),
            Some(limit) => self.facade.clock().timeout(limit, answered).await,
        };
        let Ok(Ok(response)) = answered else {
            return self.refuse(&context, Failure::deadline_exceeded().into());
        };
        if let Some(end) = context.end() {
            self.facade.layers().after(&context, end);
            return response;
        }
        match unanswered::refusal(&context, &response) {
            Some(refusal) => self.refuse(&context, refusal),
            None => response,
        }
    }

    /// Tells what no handler has answered like every other failure.
    fn refuse(&self, context: &Context, refusal: Refusal) -> Response {
        let route = self.routes.find(context.method());
        let method = route.as_ref().map(|route| route.method());
        let (end, response) = refusal.into_response(context, method);
        self.facade.layers().after(context, &end);
        response
    }
}

/// How long the call may go without an answer. Within the process there is no such limit: the caller times its call
/// itself, and the body comes with the request.
fn time_for(context: &Context) -> Option<std::time::Duration> {
    context.identity().caller.peer?;
    context.limit.map(deadline::latest)
}
