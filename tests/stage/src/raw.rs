//! Calls whose messages are bytes: what another program than this one may have written.

use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::{Request, Status, client::Grpc, service::Routes};

/// A field that no message of ours has: number 1000, a varint.
pub const UNKNOWN_FIELD: &[u8] = &[0xc0, 0x3e, 0x07];

/// Calls the method at this path with bytes as they are; gives those of the answer.
///
/// # Errors
/// The callee's status.
///
/// # Panics
/// Where the path is none.
pub async fn raw(
    routes: Routes,
    path: &'static str,
    request: Request<Vec<u8>>,
) -> Result<Bytes, Status> {
    let mut client = Grpc::new(routes);
    client.ready().await.unwrap();
    let request = request.map(Bytes::from);
    let answer = client.unary(request, PathAndQuery::from_static(path), facade::codec::Raw).await?;
    Ok(answer.into_inner())
}
