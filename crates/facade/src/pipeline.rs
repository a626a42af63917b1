//! The way of a call from its message to its answer: the layers that need the message, the handler, the answer. What
//! comes before and after is in [`crate::entry`].

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures::FutureExt;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use proto::{
    Response,
    rules::{Checked, Violation, violations},
};
use tonic::Status;

use crate::{
    Call, Facade, Failure, Reply, ResponseStream,
    codec::{Filled, Received},
    context::Context,
    layers::RequestMessage,
    redact,
    respond::{ResponseType, Typed, respond},
    stream::{self, Outgoing},
    wire::panic_text,
};

impl Facade {
    pub(crate) async fn unary<Q, R, H, F>(
        &self,
        method: &MethodDescriptor,
        request: tonic::Request<Received<Q>>,
        handler: H,
    ) -> Result<tonic::Response<Filled<R>>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<Reply<R>, Failure>> + Send,
    {
        let (call, message) = call_and_message(request)?;
        let passed =
            self.layers().before_handler(&Request { method, call: &call, message: &message });
        self.answer(&call, passed, &Typed::of(method), |call| handler(call, message)).await
    }

    pub(crate) async fn stream<Q, R, H, F>(
        &self,
        method: &MethodDescriptor,
        request: tonic::Request<Received<Q>>,
        handler: H,
    ) -> Result<tonic::Response<Outgoing<R>>, Status>
    where
        Q: Message + Checked,
        R: Message + Default + Response + 'static,
        H: FnOnce(Call, Q) -> F,
        F: Future<Output = Result<ResponseStream<R>, Failure>> + Send,
    {
        let (call, message) = call_and_message(request)?;
        let passed =
            self.layers().before_handler(&Request { method, call: &call, message: &message });
        let opened = match passed {
            Ok(()) => self.guard(&call, handler(call.clone(), message)).await,
            Err(failure) => Err(failure),
        };
        stream::open(&call, Typed::of(method), opened).map(tonic::Response::new)
    }

    /// Runs the handler of a call that came past the layers; what is particular to its messages is in `response_type`.
    pub(crate) async fn answer<S, H, F>(
        &self,
        call: &Call,
        passed: Result<(), Failure>,
        response_type: &S,
        handler: H,
    ) -> Result<tonic::Response<S::Filled>, Status>
    where
        S: ResponseType,
        H: FnOnce(Call) -> F,
        F: Future<Output = Result<Reply<S::Message>, Failure>> + Send,
    {
        let outcome = match passed {
            Ok(()) => self.guard(call, handler(call.clone())).await,
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

/// The call, and its message.
fn call_and_message<Q>(request: tonic::Request<Received<Q>>) -> Result<(Call, Q), Status> {
    let (_, extensions, Received { message, bytes }) = request.into_parts();
    Ok((Call::from_request(&extensions, bytes)?, message))
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

/// A message whose type is known when the program is built.
struct Request<'a, Q> {
    method: &'a MethodDescriptor,
    call: &'a Call,
    message: &'a Q,
}

impl<Q: Checked> RequestMessage for Request<'_, Q> {
    fn violations(&self) -> Vec<Violation> {
        violations(self.message)
    }

    fn shown(&self) -> Option<DynamicMessage> {
        redact::shown(self.method.input(), self.call.body())
    }
}
