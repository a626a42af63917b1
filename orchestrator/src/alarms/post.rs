//! One POST over HTTP/1.1, on a connection of its own: alarms are rare.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::Endpoint;

/// How large the head of an answer may be; its body is not read.
const MAX_HEAD: usize = 16 * 1024;

/// Why something was not posted. None tells the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("nothing answers there")]
    Connect(#[from] std::io::Error),
    #[error("the request could not be made")]
    Request(#[from] http::Error),
    #[error("it broke the request off, or does not speak HTTP")]
    Http(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
}

/// Posts the JSON; an answer of 2xx says that it was taken.
pub(super) async fn post_json(endpoint: &Endpoint, body: Bytes) -> Result<(), Error> {
    let request = Request::post(endpoint.path.as_str())
        .header(header::HOST, &endpoint.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "sagamesh")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    let mut client = http1::Builder::new();
    client.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    let answered = sender.send_request(request);
    tokio::pin!(answered, connection);
    let response = tokio::select! {
        biased;
        response = &mut answered => response?,
        // What was answered before the end is there.
        _ = &mut connection => answered.await?,
    };
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(Error::Status(status)) }
}
