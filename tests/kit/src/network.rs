//! Participants that are reached over the network, where a call can be refused before it is processed.

use std::io;

use facade::dial::Address;
use h2::Reason;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::{body::Body, service::Routes};
use tower::ServiceExt;

/// Marks the answer of an attempt that is refused unprocessed.
#[derive(Clone)]
pub(crate) struct Refused;

/// Serves them as long as the runtime lives, and gives their address.
pub(crate) async fn serve(routes: Routes) -> io::Result<Address> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let routes = routes.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request| answer(routes.clone(), request));
                let connection = http2::Builder::new(TokioExecutor::new());
                // It ends when the mesh does, or the node closes it.
                let _ = connection.serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    });
    address.parse().map_err(io::Error::other)
}

/// hyper resets a stream by the reason of the service's error.
async fn answer(routes: Routes, request: Request<Incoming>) -> Result<Response<Body>, h2::Error> {
    match routes.oneshot(request.map(Body::new)).await {
        Ok(response) if response.extensions().get::<Refused>().is_some() => {
            Err(Reason::REFUSED_STREAM.into())
        }
        Ok(response) => Ok(response),
        Err(impossible) => match impossible {},
    }
}
