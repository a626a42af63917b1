//! The participant whose steps do nothing.

use anyhow::Result;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    child::wait_for_stop,
    contract::{
        RunRequest, RunResponse, StepRequest, StepResponse,
        noop_service_server::{NoopService, NoopServiceServer},
    },
};

pub(crate) const SERVICE: &str = "bench.v1.NoopService";

/// The contract that the definition names.
pub(crate) const CONTRACT: (&str, &str) = ("noop.proto", include_str!("../proto/noop.proto"));

/// The definition of the saga `noop`: so many steps, each with what the one before it answered.
pub(crate) fn definition(steps: usize) -> String {
    let mut yaml = String::from(
        "saga: noop\nversion: 1\nserves: bench.v1.NoopService/Run\nkey: request.token\n\
         descriptors: [noop.proto]\ndeadline: 1h\nreply: { saga_id: saga.id }\nsteps:\n",
    );
    let mut before = "request".to_owned();
    for number in 1..=steps {
        yaml += &format!(
            "  - step: step_{number}\n    call: {SERVICE}/Step\n    \
             with: {{ payload: {before}.payload }}\n    timeout: 10m\n"
        );
        before = format!("step_{number}");
    }
    yaml
}

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
        () = wait_for_stop() => println!("done"),
    }
    Ok(())
}
