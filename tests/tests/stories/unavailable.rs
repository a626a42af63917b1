//! A payment service that is reached, and can carry nothing out.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::Service,
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};

/// Answers UNAVAILABLE to each call.
#[derive(Clone)]
pub(crate) struct Unavailable;

impl Unavailable {
    /// Serves, and gives the address.
    pub(crate) async fn serve() -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Server::builder().add_service(Self);
        tokio::spawn(serving.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }
}

impl NamedService for Unavailable {
    const NAME: &'static str = "sagamesh.payment.v1.PaymentService";
}

impl Service<http::Request<Body>> for Unavailable {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        ready(Ok(Status::unavailable("as the test says").into_http()))
    }
}
