//! The one way to another process: an address and what a connection to it is like. Calls of sagas, reflection and the
//! command line all come through here, so this is where TLS and credentials belong.

mod address;
mod endpoint;
mod resolver;

use std::{io, num::NonZero};

use http::{Uri, uri::Authority};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint as Target};
use tower::service_fn;

pub(crate) use self::endpoint::{Endpoint, Socket};
pub use self::{address::Address, resolver::Resolver};

/// A process that is called, and how much of it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: Address,
    /// How many connections there are to each of its endpoints. The next is made when the streams of those that are open are
    /// taken.
    pub max_connections: NonZero<usize>,
    /// How many bytes of a response are taken from it; a call that is answered with more has no answer that can be used.
    pub max_response: NonZero<usize>,
    /// What it is called by (`:authority`); its address where there is none.
    pub authority: Option<Authority>,
}

impl Peer {
    /// How many connections there are where nothing is said. One serves as many calls as its peer allows, and costs the
    /// least.
    pub const MAX_CONNECTIONS: NonZero<usize> = NonZero::new(4).expect("four is not zero");

    /// How many bytes of a response are taken where nothing is said: as many as gRPC's own clients take.
    pub const MAX_RESPONSE: NonZero<usize> =
        NonZero::new(4 << 20).expect("four million is not zero");

    /// A peer that is used as much as it allows.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self {
            address,
            max_connections: Self::MAX_CONNECTIONS,
            max_response: Self::MAX_RESPONSE,
            authority: None,
        }
    }

    /// How many connections there may be to it, where each of its names has one address.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.max_connections.get().saturating_mul(self.address.targets().count())
    }
}

/// A channel for a generated client, over one connection to the first endpoint that takes one. Nothing is connected before
/// the first call.
///
/// # Errors
/// A sentence where the address cannot stand in a URI.
pub fn channel(address: &Address) -> Result<Channel, String> {
    channel_as(address, address.authority())
}

/// As [`channel`], to a peer that is called `authority`.
///
/// # Errors
/// A sentence where the authority cannot stand in a URI.
pub fn channel_as(address: &Address, authority: &Authority) -> Result<Channel, String> {
    let target = Target::from_shared(format!("http://{authority}"))
        .map_err(|error| format!("{address} is no address: {error}"))?;
    let address = address.clone();
    Ok(target.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let address = address.clone();
        async move { connect(&address).await.map(TokioIo::new) }
    })))
}

async fn connect(address: &Address) -> io::Result<Socket> {
    let mut failed = io::Error::other(format!("{address} has no address"));
    for endpoint in address.resolve(&Resolver::system()).await.map_err(io::Error::other)? {
        match endpoint.connect().await {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
