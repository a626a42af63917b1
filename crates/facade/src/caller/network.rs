//! The way to one address: an HTTP/2 connection that is made when it is first needed, and made again when it broke.
//!
//! It stands on `h2` itself: a call goes from its caller's task onto the connection, with no queue and no task of its own
//! between, and no stream where one message is sent and one received.

mod answer;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use h2::{client, client::SendRequest};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_TYPE, TE},
    uri::{Authority, PathAndQuery, Scheme},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tonic::Status;

use self::answer::broken;

/// How long the making of a connection is waited for.
const CONNECT: Duration = Duration::from_secs(2);
/// After how much silence the peer is probed, how often then, and how long it may acknowledge nothing.
const SILENCE: Duration = Duration::from_secs(20);
const PROBES: Duration = Duration::from_secs(5);
#[cfg(target_os = "linux")]
const VANISHED: Duration = Duration::from_secs(30);
/// How many bytes the peer may send before they are read, on one stream and on all.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;
/// How many bytes of headers are taken with an answer.
const HEADERS: u32 = 64 << 10;

/// A connection that is being made, or was: whoever waits for it is told the same.
type Made = Shared<BoxFuture<'static, Result<SendRequest<Bytes>, Status>>>;

/// The way to one address. Cheap to clone; all clones share the connection.
#[derive(Clone)]
pub struct Network {
    peer: Arc<Peer>,
}

struct Peer {
    authority: Authority,
    address: String,
    made: Mutex<Option<Made>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Network").field(&self.peer.address).finish()
    }
}

impl Network {
    /// The way to `HOST:PORT` or `http://HOST:PORT`. Nothing is connected before the first call.
    ///
    /// # Errors
    /// A sentence where `address` is neither.
    pub fn to(address: &str) -> Result<Self, String> {
        let (scheme, bare) = address.split_once("://").unwrap_or(("http", address));
        if scheme != "http" {
            return Err(format!("{scheme}:// is not spoken here, only http://"));
        }
        let authority: Authority = bare
            .strip_suffix('/')
            .unwrap_or(bare)
            .parse()
            .map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let port = authority.port_u16().ok_or("it names no port")?;
        let address = format!("{}:{port}", authority.host());
        Ok(Self { peer: Arc::new(Peer { authority, address, made: Mutex::default() }) })
    }

    /// Makes a call and gives the encoded response.
    ///
    /// # Errors
    /// The callee's status; UNAVAILABLE where it cannot be reached.
    pub(super) async fn unary(
        &self,
        path: PathAndQuery,
        headers: HeaderMap,
        message: &Bytes,
    ) -> Result<Bytes, Status> {
        let request = self.peer.request(path, headers)?;
        let message = answer::framed(message)?;
        let mut connection = self.peer.connection().await?;
        let (response, mut stream) = connection.send_request(request, false).map_err(broken)?;
        stream.send_data(message, true).map_err(broken)?;
        answer::read(response.await.map_err(broken)?).await
    }
}

impl Peer {
    fn request(&self, path: PathAndQuery, mut headers: HeaderMap) -> Result<Request<()>, Status> {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let target = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        let target = target.path_and_query(path).build();
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = target.map_err(|error| Status::internal(error.to_string()))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// A connection that takes a request: one that broke since it was made is made again, once.
    async fn connection(&self) -> Result<SendRequest<Bytes>, Status> {
        if let Some(ready) = self.ready().await? {
            return Ok(ready);
        }
        let fleeting = || Status::unavailable("each connection breaks as soon as it is made");
        self.ready().await?.ok_or_else(fleeting)
    }

    /// The connection; `None` where it broke since it was made.
    async fn ready(&self) -> Result<Option<SendRequest<Bytes>>, Status> {
        let made = self.made();
        let ready = match made.clone().await {
            Ok(connection) => Ok(connection.ready().await.ok()),
            Err(refused) => Err(refused),
        };
        if !matches!(ready, Ok(Some(_))) {
            self.forget(&made);
        }
        ready
    }

    fn made(&self) -> Made {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get_or_insert_with(|| {
            // In a task of its own: it goes on when the caller that needed it first goes away.
            let making = tokio::spawn(connect(self.address.clone()));
            let told = |joined: Result<_, _>| {
                joined.unwrap_or_else(|_| Err(Status::unavailable("the process is stopping")))
            };
            making.map(told).boxed().shared()
        })
        .clone()
    }

    /// The next call makes a new connection, unless that is under way.
    fn forget(&self, old: &Made) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_some_and(|made| made.ptr_eq(old)) {
            *made = None;
        }
    }
}

async fn connect(address: String) -> Result<SendRequest<Bytes>, Status> {
    let connected = async {
        let stream = TcpStream::connect(&address).await?;
        stream.set_nodelay(true)?;
        notice_vanishing(&stream)?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = Clock::system()
        .timeout(CONNECT, connected)
        .await
        .map_err(|_| Status::unavailable(format!("no connection within {CONNECT:?}")))?
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let (requests, connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(
                address,
                error = &error as &dyn std::error::Error,
                "a connection broke"
            );
        }
    });
    Ok(requests)
}

/// Lets the kernel break a connection whose peer has vanished without a word. HTTP/2 has pings for it, but gRPC's own
/// servers take more than two in five minutes for an attack (`too_many_pings`), close the connection, and end the calls
/// that take longer with it.
fn notice_vanishing(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(SILENCE).with_interval(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(VANISHED))?;
    Ok(())
}
