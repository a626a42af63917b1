//! The way of a call from its message to its answer: the layers that need the message, the handler, the answer. What
//! comes before and after is in [`crate::entry`].

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures::FutureExt;
use prost::{DecodeError, Message};
use prost_reflect::MessageDescriptor;
use proto::{
    Response,
    rules::{Checked, Violation, violations},
};
use tonic::Status;

use crate::{
    Call, Facade, Failure, Reply, ResponseStream, budget,
    codec::Filled,
    context::Context,
    dispatch::Method,
    respond::{ResponseType, Typed, respond},
    stream::{self, Outgoing},
    wire::panic_text,
};

/// How messages of one kind are decoded and checked.
pub(crate) struct Reading<Q> {
    pub(crate) decode: fn(MessageDescriptor, Bytes) -> Result<Q, DecodeError>,
    pub(crate) check: fn(&Q) -> Vec<Violation>,
}

impl<Q: Message + Checked + Default> Reading<Q> {
    fn typed() -> Self {
        Self { decode: |_, bytes| Q::decode(bytes.as_ref()), check: |message| violations(message) }
    }
}

impl Facade {
    pub(crate) async fn unary<Q, R, H, F>(
        &self,
        method: &Method,
        request: tonic::Request<Bytes>,
        handler: H,
    ) -> Result<tonic::Response<Filled<R>>, Status>
    where
        Q: Message + Checked + Default + 'static,
        R: Message + Default + Response,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (call, message) = self.arrive(method, request, Reading::typed()).await?;
        self.answer(&call, message, &Typed::of(method.route.method()), handler).await
    }

    pub(crate) async fn stream<Q, R, H, F>(
        &self,
        method: &Method,
        request: tonic::Request<Bytes>,
        handler: H,
    ) -> Result<tonic::Response<Outgoing<R>>, Status>
    where
        Q: Message + Checked + Default + 'static,
        R: Message + Default + Response + 'static,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<ResponseStream<R>, Failure>> + Send,
    {
        let (call, message) = self.arrive(method, request, Reading::typed()).await?;
        let opened = match message {
            Ok(message) => self.guard(&call, handler(call.clone(), message)).await,
            Err(failure) => Err(failure),
        };
        stream::open(&call, Typed::of(method.route.method()), opened).map(tonic::Response::new)
    }

    /// The call and its message, or why the layers refuse it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for bytes that are no message of the method's.
    pub(crate) async fn arrive<Q: Send + 'static>(
        &self,
        method: &Method,
        request: tonic::Request<Bytes>,
        Reading { decode, check }: Reading<Q>,
    ) -> Result<(Call, Result<Q, Failure>), Status> {
        let (_, extensions, bytes) = request.into_parts();
        let call = Call::from_request(&extensions, bytes.clone())?;
        if let Err(failure) = self.layers().before_decoding(&call, method) {
            return Ok((call, Err(failure)));
        }
        let input = method.route.method().input();
        let size = bytes.len();
        let read = move || decode(input, bytes).map(|message| (check(&message), message));
        let read = match budget::is_heavy(size) {
            false => read(),
            // Boxed: few calls are so large, and the others need no room for it.
            true => match Box::pin(call.off_the_loop(read)).await {
                Ok(read) => read,
                Err(failure) => return Ok((call, Err(failure))),
            },
        };
        let (violations, message) = read.map_err(|error| {
            let input = method.route.method().input();
            Status::invalid_argument(format!("it is no {}: {error}", input.full_name()))
        })?;
        let passed = self.layers().before_handler(&call, method, violations);
        Ok((call, passed.map(|()| message)))
    }

    /// Runs the handler of a call that came past the layers; what is particular to its messages is in `response_type`.
    pub(crate) async fn answer<Q, S, H, F>(
        &self,
        call: &Call,
        message: Result<Q, Failure>,
        response_type: &S,
        handler: H,
    ) -> Result<tonic::Response<S::Filled>, Status>
    where
        S: ResponseType,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Reply<S::Message>, Failure>> + Send,
    {
        let outcome = match message {
            Ok(message) => self.guard(call, handler(call.clone(), message)).await,
            Err(failure) => Err(failure),
        };
        respond(call, response_type, outcome).map(tonic::Response::new)
    }

    /// Runs a handler within the caller's deadline, and catches its panic.
    async fn guard<T>(
        &self,
        call: &Call,
        handler: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let caught = AssertUnwindSafe(handler).catch_unwind();
        let outcome = match call.limit() {
            None => caught.await,
            Some(limit) => {
                let rest = limit.saturating_sub(call.elapsed());
                let in_time = self.clock().timeout(rest, caught).await;
                in_time.unwrap_or_else(|_| Ok(Err(Failure::deadline_exceeded())))
            }
        };
        outcome.unwrap_or_else(|panic| {
            Err(Failure::internal(format!("the handler panicked: {}", panic_text(panic.as_ref()))))
        })
    }
}

impl Call {
    /// The call that a request's extensions and body belong to.
    ///
    /// # Errors
    /// INTERNAL for a request that came to its handler by another way than the server's.
    pub(crate) fn from_request(
        extensions: &tonic::Extensions,
        body: Bytes,
    ) -> Result<Self, Status> {
        let context = Context::of(extensions);
        let context = context.ok_or_else(|| Status::internal("served around the facade"))?;
        Ok(Self::new(context, body))
    }
}
