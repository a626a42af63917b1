//! Unary methods that are known only at run time, served behind the same facade.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use proto::rules::{Violation, dynamic_violations};
use tonic::{Status, body::Body, server::Grpc};

use crate::{
    Call, Facade, Failure, Reply, codec::Raw, dispatch::Route, entry::Request,
    layers::RequestMessage, respond::Described,
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
        request: Request,
    ) -> BoxFuture<'static, http::Response<Body>> {
        Box::pin(async move {
            let answer = tower::service_fn(|request| self.answer(&facade, request));
            Grpc::new(Raw).unary(answer, request).await
        })
    }
}

impl Dynamic {
    async fn answer(
        &self,
        facade: &Facade,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let (_, extensions, body) = request.into_parts();
        let input = self.method.input();
        let message = DynamicMessage::decode(input.clone(), body.as_ref()).map_err(|error| {
            Status::invalid_argument(format!("it is no {}: {error}", input.full_name()))
        })?;
        let call = Call::from_request(&extensions, body)?;
        let passed = facade.layers().before_handler(&message);
        let response_type = Described(self.method.output());
        let handler = |call| self.handler.handle(call, message);
        facade.answer(&call, passed, &response_type, handler).await
    }
}

impl RequestMessage for DynamicMessage {
    fn violations(&self) -> Vec<Violation> {
        dynamic_violations(self)
    }

    fn shown(&self) -> Option<DynamicMessage> {
        Some(self.clone())
    }
}
