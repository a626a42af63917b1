//! How names are looked up.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use futures::future::BoxFuture;

type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Finds the addresses that a name leads to. Cheap to clone.
#[derive(Clone)]
pub struct Resolver(Arc<LookUp>);

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

impl Resolver {
    /// Asks the system.
    #[must_use]
    pub fn system() -> Self {
        Self::by(|name| Box::pin(async { Ok(tokio::net::lookup_host(name).await?.collect()) }))
    }

    /// Asks `look_up`, which is given `HOST:PORT`.
    #[must_use]
    pub fn by(
        look_up: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(look_up))
    }

    pub(super) async fn look_up(&self, host_and_port: String) -> io::Result<Vec<SocketAddr>> {
        (self.0)(host_and_port).await
    }
}
