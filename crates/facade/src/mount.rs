//! Services whose messages are known when the program is built, and how one is made ready to be served.

use std::{marker::PhantomData, sync::Arc};

use futures::future::BoxFuture;
use prost::Message;
use prost_reflect::{DescriptorPool, MethodDescriptor, ServiceDescriptor};
use proto::{Response, rules::Checked};
use store::Database;
use tonic::{body::Body, server::Grpc};

use crate::{
    Call, Facade, Failure, Reply, ResponseStream,
    codec::Codec,
    dispatch::{Method, Route},
    request_body::RequestBody,
};

/// One service, ready to be served behind the facade.
///
/// There is no other way to it than [`Mount::of`], and what that takes is a function of a call and its message: no
/// handler is reached around the facade. What `facade-build` generates is the usual way; a mount written by hand passes the
/// same layers, but its author answers for it that the messages are those of the method, and that their [`Checked`]
/// looks at every rule.
pub struct Mount {
    pub(crate) name: &'static str,
    pub(crate) pool: DescriptorPool,
    pub(crate) routes: Vec<Arc<dyn Route>>,
    pub(crate) databases: Vec<Database>,
}

impl Mount {
    /// Begins to mount the service `name`, which `pool` describes.
    ///
    /// # Panics
    /// Where `pool` does not describe it.
    #[must_use]
    pub fn of<H: Send + Sync + 'static>(
        name: &'static str,
        pool: &DescriptorPool,
        handler: H,
    ) -> Mounting<H> {
        let service = pool.get_service_by_name(name).expect("a mount has the service's own pool");
        Mounting { name, service, handler: Arc::new(handler), routes: Vec::new() }
    }

    /// A service that can take work while this database works. The process closes it at its end.
    #[must_use]
    pub fn on(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// The databases that it stands on.
    #[must_use]
    pub fn databases(&self) -> &[Database] {
        &self.databases
    }

    /// The service's full name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// A service that is being mounted. What is not mounted of its methods is told as `METHOD_UNKNOWN`.
pub struct Mounting<H> {
    name: &'static str,
    service: ServiceDescriptor,
    handler: Arc<H>,
    routes: Vec<Arc<dyn Route>>,
}

impl<H: Send + Sync + 'static> Mounting<H> {
    /// Answers a method with one response.
    ///
    /// # Panics
    /// Where the service has no such method.
    #[must_use]
    pub fn unary<Q, R, F, A>(mut self, method: &str, run: F) -> Self
    where
        Q: Message + Checked + Default + 'static,
        R: Message + Response + Default + 'static,
        F: Fn(Arc<H>, Call, Q) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Reply<R>, Failure>> + Send + 'static,
    {
        let typed = self.typed(method, run);
        self.routes.push(Arc::new(Unary(typed)));
        self
    }

    /// Answers a method with a stream of responses.
    ///
    /// # Panics
    /// Where the service has no such method.
    #[must_use]
    pub fn stream<Q, R, F, A>(mut self, method: &str, run: F) -> Self
    where
        Q: Message + Checked + Default + 'static,
        R: Message + Response + Default + 'static,
        F: Fn(Arc<H>, Call, Q) -> A + Send + Sync + 'static,
        A: Future<Output = Result<ResponseStream<R>, Failure>> + Send + 'static,
    {
        let typed = self.typed(method, run);
        self.routes.push(Arc::new(Streaming(typed)));
        self
    }

    /// The whole service.
    #[must_use]
    pub fn mounted(self) -> Mount {
        let Self { name, service, routes, .. } = self;
        Mount { name, pool: service.parent_pool().clone(), routes, databases: Vec::new() }
    }

    fn typed<Q, R, F>(&self, method: &str, run: F) -> Typed<H, Q, R, F> {
        let method = self.service.methods().find(|known| known.name() == method);
        let method = method.expect("a mount has only methods of its service");
        Typed { method, handler: Arc::clone(&self.handler), run, messages: PhantomData }
    }
}

/// A method whose messages are `Q` and `R`.
struct Typed<H, Q, R, F> {
    method: MethodDescriptor,
    handler: Arc<H>,
    run: F,
    messages: PhantomData<fn(Q) -> R>,
}

impl<H, Q, R, F, A> Typed<H, Q, R, F>
where
    F: Fn(Arc<H>, Call, Q) -> A,
{
    fn run(&self, call: Call, message: Q) -> A {
        (self.run)(Arc::clone(&self.handler), call, message)
    }
}

struct Unary<H, Q, R, F>(Typed<H, Q, R, F>);

impl<H, Q, R, F, A> Route for Unary<H, Q, R, F>
where
    H: Send + Sync + 'static,
    Q: Message + Checked + Default + 'static,
    R: Message + Response + Default + 'static,
    F: Fn(Arc<H>, Call, Q) -> A + Send + Sync + 'static,
    A: Future<Output = Result<Reply<R>, Failure>> + Send + 'static,
{
    fn method(&self) -> &MethodDescriptor {
        &self.0.method
    }

    fn serve(
        self: Arc<Self>,
        facade: Facade,
        method: Arc<Method>,
        request: http::Request<RequestBody>,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            let typed = &self.0;
            let answer = tower::service_fn(|request| {
                facade.unary(&method, request, |call, message| typed.run(call, message))
            });
            Grpc::new(Codec::default())
                .max_decoding_message_size(usize::MAX)
                .unary(answer, request)
                .await
        })
    }
}

struct Streaming<H, Q, R, F>(Typed<H, Q, R, F>);

impl<H, Q, R, F, A> Route for Streaming<H, Q, R, F>
where
    H: Send + Sync + 'static,
    Q: Message + Checked + Default + 'static,
    R: Message + Response + Default + 'static,
    F: Fn(Arc<H>, Call, Q) -> A + Send + Sync + 'static,
    A: Future<Output = Result<ResponseStream<R>, Failure>> + Send + 'static,
{
    fn method(&self) -> &MethodDescriptor {
        &self.0.method
    }

    fn serve(
        self: Arc<Self>,
        facade: Facade,
        method: Arc<Method>,
        request: http::Request<RequestBody>,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            let typed = &self.0;
            let open = tower::service_fn(|request| {
                facade.stream(&method, request, |call, message| typed.run(call, message))
            });
            Grpc::new(Codec::default())
                .max_decoding_message_size(usize::MAX)
                .server_streaming(open, request)
                .await
        })
    }
}
