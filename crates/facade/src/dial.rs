//! The one way to another process: an address and what a connection to it is like. Calls of sagas, reflection and the
//! command line all come through here, so this is where TLS and credentials belong.

use std::{fmt, num::NonZero, str::FromStr, time::Duration};

use http::uri::{Authority, InvalidUri};
use serde::{Deserialize, Serialize};
use tonic::transport::{Channel, Endpoint};

/// How long the making of a connection is waited for.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a process listens: `HOST:PORT` or `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    authority: Authority,
    host_and_port: String,
}

impl Address {
    /// `HOST:PORT`, as a socket is opened to it.
    #[must_use]
    pub fn host_and_port(&self) -> &str {
        &self.host_and_port
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or_default()
    }

    /// What HTTP/2 calls the peer: `:authority`.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("{text:?} is no address: {why}; write HOST:PORT");
        let (scheme, bare) = text.split_once("://").unwrap_or(("http", text));
        if scheme != "http" {
            return Err(refuse(&format!("{scheme}:// is not spoken here, only http://")));
        }
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let authority: Authority =
            bare.parse().map_err(|error: InvalidUri| refuse(&error.to_string()))?;
        if authority.as_str().contains('@') {
            return Err(refuse("it names a user"));
        }
        if authority.host().is_empty() {
            return Err(refuse("it names no host"));
        }
        let port = authority.port_u16().ok_or_else(|| refuse("it names no port"))?;
        let host_and_port = format!("{}:{port}", authority.host());
        Ok(Self { authority, host_and_port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.host_and_port)
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.host_and_port
    }
}

/// A process that is called, and how much of it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: Address,
    /// How many connections there are to it. The next is made when the streams of those that are open are taken.
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
}

/// A channel for a generated client. Nothing is connected before the first call.
///
/// # Errors
/// A sentence where the address cannot stand in a URI.
pub fn channel(address: &Address) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(format!("http://{}", address.authority))
        .map_err(|error| format!("{address} is no address: {error}"))?;
    Ok(endpoint.tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT).connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_with_or_without_a_scheme() {
        for sound in ["stock:7072", "http://stock:7072", "http://stock:7072/"] {
            let address: Address = sound.parse().unwrap();
            assert_eq!(address.host_and_port(), "stock:7072", "{sound}");
        }
        let address: Address = "[::1]:7072".parse().unwrap();
        assert_eq!((address.host_and_port(), address.port()), ("[::1]:7072", 7072));
    }

    #[test]
    fn anything_else_is_refused_with_the_reason_and_the_cure() {
        let refused = [
            ("", "empty"),
            ("stock", "no port"),
            ("http://stock", "no port"),
            ("stock:", "no port"),
            ("stock:port", "no port"),
            ("h:99999", "no port"),
            (":7072", "no host"),
            ("https://stock:7072", "https:// is not spoken here"),
            ("a b:1", "invalid"),
            ("h:1/path", "invalid"),
            ("u@h:1", "it names a user"),
        ];
        for (text, reason) in refused {
            let why = text.parse::<Address>().expect_err(text);
            assert!(why.contains(reason) && why.contains("HOST:PORT"), "{text:?}: {why}");
        }
    }
}
