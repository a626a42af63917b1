//! The participant whose steps do nothing.

use anyhow::Result;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    child::told_to_stop,
    contract::{
        RunRequest, RunResponse, StepRequest, StepResponse,
        noop_service_server::{NoopService, NoopServiceServer},
    },
};

pub(crate) const SERVICE: &str = "bench.v1.NoopService";

/// The definition of the saga `noop`, and the contract that it names.
pub(crate) const DEFINITION: (&str, &str) = ("noop.yaml", include_str!("../noop.yaml"));
pub(crate) const CONTRACT: (&str, &str) = ("noop.proto", include_str!("../proto/noop.proto"));

#[derive(Clone, Copy, Debug)]
struct Noop {
    hold: bool,
}

#[tonic::async_trait]
impl NoopService for Noop {
    async fn step(&self, request: Request<StepRequest>) -> Result<Response<StepResponse>, Status> {
        if self.hold {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(StepResponse { payload: request.into_inner().payload }))
    }

    async fn run(&self, _: Request<RunRequest>) -> Result<Response<RunResponse>, Status> {
        Err(Status::unimplemented("the saga serves it"))
    }
}

/// The participant, for calls from within the process.
pub(crate) fn routes() -> Routes {
    Routes::new(NoopServiceServer::new(Noop { hold: false }))
}

/// Runs it as a process of its own.
pub(crate) async fn serve(hold: bool) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .add_service(NoopServiceServer::new(Noop { hold }))
        .serve_with_incoming(incoming);
    tokio::select! {
        served = serving => served?,
        () = told_to_stop() => println!("done"),
    }
    Ok(())
}
