//! Addresses as people write them: `HOST:PORT`, `dns:///HOST:PORT`, `unix:/PATH`, and several of them with commas between.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    sync::LazyLock,
};

use http::uri::{Authority, InvalidUri};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};

/// How an address is written, for a cure.
const CURE: &str = "write HOST:PORT, dns:///HOST:PORT or unix:/PATH, several with commas between";

/// What a peer behind a Unix socket is called in HTTP/2, as gRPC's own clients call it.
static UNIX_AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::from_static("localhost"));

/// Where a process listens, or several that serve the same: `HOST:PORT`, `unix:/PATH`, or a list of them with commas
/// between. A host may be a name with several addresses; calls are spread over all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Address {
    first: Target,
    others: Vec<Target>,
}

/// One entry of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A host's name or IP address, and a port.
    Tcp(Tcp),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// A host's name or IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tcp {
    authority: Authority,
    port: u16,
}

impl Address {
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What HTTP/2 calls the peer, `:authority`, where nobody has said which of several is meant.
    pub(crate) fn authority(&self) -> &Authority {
        self.first.authority()
    }

    /// The first `HOST:PORT` of it; `None` where it has Unix sockets alone.
    #[must_use]
    pub fn host_and_port(&self) -> Option<String> {
        self.targets().find_map(|target| match target {
            Target::Tcp(tcp) => Some(tcp.host_and_port()),
            Target::Unix(_) => None,
        })
    }

    /// Another port of the same host; `None` for a Unix socket, a list, and where there is no such port.
    #[must_use]
    pub fn ports_above(&self, offset: u16) -> Option<Self> {
        let Target::Tcp(Tcp { authority, port }) = &self.first else { return None };
        let port = port.checked_add(offset)?;
        if !self.others.is_empty() {
            return None;
        }
        format!("{}:{port}", authority.host()).parse().ok()
    }
}

impl Target {
    pub(crate) fn authority(&self) -> &Authority {
        match self {
            Self::Tcp(tcp) => &tcp.authority,
            Self::Unix(_) => &UNIX_AUTHORITY,
        }
    }
}

impl Tcp {
    pub(crate) fn host_and_port(&self) -> String {
        self.to_string()
    }

    /// The address, where it is one and not a name.
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        self.to_string().parse().ok()
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut targets = text.split(',').map(|target| target.trim().parse());
        let first = targets.next().unwrap_or_else(|| "".parse())?;
        let others: Vec<Target> = targets.collect::<Result<_, _>>()?;
        let address = Self { first, others };
        for (index, target) in address.targets().enumerate() {
            if address.targets().take(index).any(|earlier| earlier == target) {
                return Err(format!("{text:?} is no address: it has {target} twice; {CURE}"));
            }
        }
        Ok(address)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: String| Err(format!("{text:?} is no address: {why}; {CURE}"));
        let target = match text.split_once(':') {
            Some(("unix", path)) => unix(path),
            Some(("dns", name)) => dns(name),
            _ => match text.split_once("://") {
                None => tcp(text),
                Some(("http", bare)) => tcp(bare.strip_suffix('/').unwrap_or(bare)),
                Some(("https", _)) => Err(
                    "https:// needs TLS, which is not there yet: it comes with the settings of identities, and until then \
                     peers are spoken to in plaintext"
                        .to_owned(),
                ),
                Some((scheme, _)) => Err(format!("{scheme}:// is not spoken here")),
            },
        };
        target.or_else(refuse)
    }
}

/// What stands behind `unix:`.
fn unix(path: &str) -> Result<Target, String> {
    // `unix:///PATH` is the same with an empty authority.
    let path = path.strip_prefix("//").unwrap_or(path);
    match Path::new(path).is_absolute() {
        true => Ok(Target::Unix(path.into())),
        false => Err("the path of a Unix socket begins with a slash".to_owned()),
    }
}

/// What stands behind `dns:`: the name, or an authority, which would be the DNS server to ask, and the name.
fn dns(name: &str) -> Result<Target, String> {
    match name.strip_prefix("//").map(|rest| rest.split_once('/')) {
        None => tcp(name),
        Some(Some(("", name))) => tcp(name),
        Some(Some((server, _))) => {
            Err(format!("it names the DNS server {server:?}, and the system's are asked"))
        }
        Some(None) => Err("dns:// is followed by a third slash".to_owned()),
    }
}

fn tcp(bare: &str) -> Result<Target, String> {
    let authority: Authority = bare.parse().map_err(|error: InvalidUri| error.to_string())?;
    if authority.as_str().contains('@') {
        return Err("it names a user".to_owned());
    }
    if authority.host().is_empty() {
        return Err("it names no host".to_owned());
    }
    let port = authority.port_u16().ok_or("it names no port")?;
    Ok(Target::Tcp(Tcp { authority, port }))
}

impl fmt::Display for Tcp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.authority.host(), self.port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => tcp.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(formatter)?;
        self.others.iter().try_for_each(|other| write!(formatter, ",{other}"))
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Address;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an address: {CURE}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn an_address_is_a_host_and_a_port_with_or_without_a_scheme() {
        let written = [
            "stock:7072",
            "http://stock:7072",
            "http://stock:7072/",
            "dns:stock:7072",
            "dns:///stock:7072",
        ];
        for sound in written {
            assert_eq!(read(sound).to_string(), "stock:7072", "{sound}");
        }
        assert_eq!(read("[::1]:7072").to_string(), "[::1]:7072");
        assert_eq!(read("[::1]:7072").ports_above(1).unwrap().to_string(), "[::1]:7073");
        assert_eq!(read("h:65535").ports_above(1), None);
    }

    #[test]
    fn an_address_may_be_a_unix_socket() {
        for sound in ["unix:/run/stock", "unix:///run/stock"] {
            let address = read(sound);
            assert_eq!(address.to_string(), "unix:/run/stock");
            assert_eq!(address.authority(), "localhost");
            assert_eq!(address.ports_above(1), None);
        }
    }

    #[test]
    fn an_address_may_be_a_list() {
        let address = read("a:1, b:2,unix:/c");
        assert_eq!(address.to_string(), "a:1,b:2,unix:/c");
        assert_eq!(read(&address.to_string()), address);
        assert_eq!(read("a:1,b:2").ports_above(1), None);
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
            ("https://stock:7072", "needs TLS"),
            ("grpc://stock:7072", "grpc:// is not spoken here"),
            ("dns://stock:7072", "third slash"),
            ("dns://1.1.1.1/stock:7072", "names the DNS server"),
            ("dns:///stock", "no port"),
            ("unix:", "begins with a slash"),
            ("unix:relative", "begins with a slash"),
            ("unix://host/path", "begins with a slash"),
            ("a b:1", "invalid"),
            ("h:1/path", "invalid"),
            ("u@h:1", "it names a user"),
            ("a:1,", "empty"),
            (",a:1", "empty"),
            ("a:1,b", "no port"),
            ("a:1,b:2,a:1", "a:1 twice"),
        ];
        for (text, reason) in refused {
            let why = text.parse::<Address>().expect_err(text);
            assert!(why.contains(reason) && why.contains("HOST:PORT"), "{text:?}: {why}");
        }
    }
}
