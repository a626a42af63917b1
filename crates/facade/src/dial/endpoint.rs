//! The places that an address leads to, and the sockets to them.

use std::{fmt, io, net::SocketAddr, path::PathBuf, time::Duration};

use clock::Clock;
use futures::future::join_all;
use http::uri::Authority;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::{
    address::{Address, Target},
    resolver::Resolver,
};

/// How long the making of a connection is waited for, and the look-up of a name.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// TCP keep-alive: how long a connection is idle before the peer is probed, how often it is probed then, and how long it may
/// leave data unacknowledged.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);

/// A socket to a peer.
pub(crate) type Socket = Either<TcpStream, UnixStream>;

/// One place that an address leads to: what a socket is opened to, and what HTTP/2 calls the peer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    place: Place,
    authority: Authority,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => address.fmt(formatter),
            Place::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl Endpoint {
    /// What HTTP/2 calls the peer: `:authority`.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// Why there is none, after [`CONNECT_TIMEOUT`] at the latest.
    pub(crate) async fn connect(&self) -> io::Result<Socket> {
        let connected = async {
            match &self.place {
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    set_keepalive(&stream)?;
                    Ok(Either::Left(stream))
                }
                Place::Unix(path) => Ok(Either::Right(UnixStream::connect(path).await?)),
            }
        };
        let late = || format!("no connection within {CONNECT_TIMEOUT:?}");
        let connected = Clock::system().timeout(CONNECT_TIMEOUT, connected).await;
        connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, late())))
    }
}

impl Target {
    /// The one endpoint that this is; `None` for a name, which is to be looked up.
    fn endpoint(&self) -> Option<Endpoint> {
        let place = match self {
            Self::Tcp(tcp) => Place::Tcp(tcp.ip()?),
            Self::Unix(path) => Place::Unix(path.clone()),
        };
        Some(Endpoint { place, authority: self.authority().clone() })
    }

    async fn resolve(&self, resolver: &Resolver) -> io::Result<Vec<Endpoint>> {
        let Self::Tcp(tcp) = self else { return Ok(self.endpoint().into_iter().collect()) };
        let found = resolver.look_up(tcp.host_and_port()).await?;
        let endpoint =
            |address| Endpoint { place: Place::Tcp(address), authority: self.authority().clone() };
        Ok(found.into_iter().map(endpoint).collect())
    }
}

impl Address {
    /// The endpoints, where no name is to be looked up for them.
    pub(crate) fn endpoints(&self) -> Option<Vec<Endpoint>> {
        self.targets().map(Target::endpoint).collect()
    }

    /// The endpoints that the address leads to now, each once. Where some of several names cannot be looked up, those of
    /// the others.
    ///
    /// # Errors
    /// A sentence: why no name has an address.
    pub(crate) async fn resolve(&self, resolver: &Resolver) -> Result<Vec<Endpoint>, String> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut whys = Vec::new();
        let clock = Clock::system();
        let look_ups =
            self.targets().map(|target| clock.timeout(CONNECT_TIMEOUT, target.resolve(resolver)));
        let found = join_all(look_ups).await;
        for (target, found) in self.targets().zip(found) {
            match found {
                Ok(Ok(found)) if found.is_empty() => whys.push(format!("{target} has no address")),
                Ok(Ok(found)) => {
                    for endpoint in found {
                        if !endpoints.iter().any(|known| known.place == endpoint.place) {
                            endpoints.push(endpoint);
                        }
                    }
                }
                Ok(Err(error)) => whys.push(format!("{target} cannot be looked up: {error}")),
                Err(_) => {
                    whys.push(format!("{target} was not looked up within {CONNECT_TIMEOUT:?}"))
                }
            }
        }
        if endpoints.is_empty() { Err(whys.join("; ")) } else { Ok(endpoints) }
    }
}

/// Lets the kernel break a connection whose peer has vanished without a word. HTTP/2 has pings for it, but gRPC's own
/// servers take more than two in five minutes without an answer between for an attack (`too_many_pings`), close the
/// connection, and end the calls that take longer with it.
fn set_keepalive(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))?;
    Ok(())
}
