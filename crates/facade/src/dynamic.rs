//! Unary methods that are known only at run time, served behind the same facade.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use proto::rules::dynamic_violations;
use tonic::{Status, body::Body, server::Grpc};

use crate::{
    Call, Facade, Failure, Reply,
    codec::Raw,
    dispatch::{Method, Route},
    pipeline::Reading,
    request_body::RequestBody,
    respond::Described,
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

/// A method, and what answers it.
pub(crate) struct Dynamic {
    pub(crate) method: MethodDescriptor,
    pub(crate) handler: Arc<dyn Handler>,
}

impl Route for Dynamic {
    fn method(&self) -> &MethodDescriptor {
        &self.method
    }

    fn serve(
        self: Arc<Self>,
        facade: Facade,
        method: Arc<Method>,
        request: http::Request<RequestBody>,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            let answer = tower::service_fn(|request| self.answer(&facade, &method, request));
            Grpc::new(Raw).max_decoding_message_size(usize::MAX).unary(answer, request).await
        })
    }
}

impl Dynamic {
    async fn answer(
        &self,
        facade: &Facade,
        method: &Method,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let reading = Reading {
            decode: |input, bytes| DynamicMessage::decode(input, bytes.as_ref()),
            check: dynamic_violations,
        };
        let (call, message) = facade.arrive(method, request, reading).await?;
        let response_type = Described(self.method.output());
        let handler = |call, message| self.handler.handle(call, message);
        facade.answer(&call, message, &response_type, handler).await
    }
}
