//! The way to a running mesh.

use facade::dial::{self, Address};
use prost::Name;
use proto::facade::v1::ResultInfo;
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    arguments::{Format, Global},
    error::{CommandError, CommandResult, result_of},
    output,
};

/// A channel to the orchestrator; nothing is dialled before the first call.
pub(crate) fn orchestrator(global: &Global) -> CommandResult<Channel> {
    channel(&global.server)
}

/// A channel to an address, with or without `http://`.
pub(crate) fn channel(server: &str) -> CommandResult<Channel> {
    dial::channel(&address(server)?).map_err(|why| CommandError::new(2, why))
}

fn address(server: &str) -> CommandResult<Address> {
    server.parse().map_err(|why: String| CommandError::new(2, why))
}

/// The address of the service `offset` ports above the orchestrator's, as `sagamesh dev` lays them out.
pub(crate) fn beside(global: &Global, offset: u16) -> CommandResult<String> {
    let server = address(&global.server)?;
    let beside = server.ports_above(offset).ok_or_else(|| {
        CommandError::new(2, format!("{} has no port {offset} above its own", global.server))
    })?;
    Ok(format!("http://{beside}"))
}

/// A request with the command's time limit.
pub(crate) fn request<T>(global: &Global, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(global.timeout);
    request
}

/// The answer, where the call was carried out and not declined, fit to be shown where it is not written as JSON. As JSON, a
/// no is shown too: a response with its result, whether it came as one or as a status.
pub(crate) fn success<R: proto::Response + Name + Default>(
    what: &str,
    global: &Global,
    answer: Result<Response<R>, Status>,
) -> CommandResult<R> {
    let response = match answer {
        Ok(response) => response.into_inner(),
        Err(status) => {
            if let Some(result) = result_of(&status).filter(|_| global.output == Format::Json) {
                let mut response = R::default();
                response.set_result(result);
                output::json(&response)?;
            }
            return Err(CommandError::of_status(what, &global.server, &status));
        }
    };
    match response.result() {
        Some(result @ ResultInfo { success: false, .. }) => {
            if global.output == Format::Json {
                output::json(&response)?;
            }
            let saga_id = output::text_field(&response, "saga_id");
            Err(CommandError::of_decline(what, result).with_saga(saga_id))
        }
        _ if global.output == Format::Json => Ok(response),
        _ => output::showable(&response),
    }
}
