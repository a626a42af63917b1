//! What goes on beside the calls, each in a task of its own, so that it goes on when the caller that needed it first goes
//! away: connections, look-ups, and the watch over them. The pool learns how each ended also when the runtime drops it.

use std::sync::{Arc, Weak};

use tokio::runtime::Handle;

use super::{
    Peer,
    connect::{self, Connection},
    watch::TICK,
};
use crate::dial::Endpoint;

/// Outside of a runtime, as when the last of its tasks are dropped, nothing is begun any more.
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(task);
    }
}

/// Makes a connection.
pub(super) fn connect(peer: &Arc<Peer>, subchannel: u64, endpoint: Endpoint) {
    let task = Connecting { peer: Some(Arc::clone(peer)), subchannel, endpoint };
    spawn(task.run());
}

/// Looks up the names of the peer's address.
pub(super) fn look_up(peer: &Arc<Peer>) {
    spawn(LookingUp { peer: Some(Arc::clone(peer)) }.run());
}

/// Looks at the peer's connections at each tick, as long as anybody holds it.
pub(super) fn watch(peer: &Arc<Peer>) {
    let (clock, weak) = (peer.clock.clone(), Arc::downgrade(peer));
    spawn(async move {
        loop {
            clock.sleep(TICK).await;
            match weak.upgrade() {
                Some(peer) => peer.tick(),
                None => break,
            }
        }
    });
}

struct Connecting {
    peer: Option<Arc<Peer>>,
    subchannel: u64,
    endpoint: Endpoint,
}

impl Connecting {
    async fn run(mut self) {
        let made = connect::make(&self.endpoint).await;
        let Some(peer) = self.peer.take() else { return };
        match made {
            Ok((made, connection)) => {
                let Some(number) = peer.connected(self.subchannel, made) else { return };
                // Weak: the connection must close when no client holds the peer any more.
                let weak = Arc::downgrade(&peer);
                drop(peer);
                work(connection, number, weak).await;
            }
            Err(why) => peer.connect_failed(self.subchannel, why),
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.connect_failed(self.subchannel, connect::runtime_stopping());
        }
    }
}

struct LookingUp {
    peer: Option<Arc<Peer>>,
}

impl LookingUp {
    async fn run(mut self) {
        let Some(peer) = &self.peer else { return };
        let found = peer.address.resolve(&peer.resolver).await;
        if let Some(peer) = self.peer.take() {
            peer.looked_up(found);
        }
    }
}

impl Drop for LookingUp {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.looked_up(Err(connect::runtime_stopping().message().to_owned()));
        }
    }
}

/// Keeps a connection going until it closes.
async fn work(mut connection: Connection, number: u64, peer: Weak<Peer>) {
    let closed = loop {
        match connection.work().await {
            Ok(Some(limit)) => {
                if let Some(peer) = peer.upgrade() {
                    peer.set_limit(number, limit);
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let Some(peer) = peer.upgrade() else { return };
    if let Some(error) = closed {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(address = %peer.address, error, "a connection broke");
    }
    peer.closed(number);
}
