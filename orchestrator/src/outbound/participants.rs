//! Which participant serves which service, and where it is reached.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use clock::Clock;
use facade::{
    caller::{Client, Network, Transport},
    dial::Peer,
};
use tonic::service::Routes;

/// One service and the way to it.
#[derive(Clone, Debug)]
pub struct Participant {
    client: Client,
    address: String,
}

impl Participant {
    /// Makes the calls.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it is, for a person: an address, or `in process`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// All participants, by the full name of their service. Cheap to clone; all clones see what is added.
#[derive(Clone, Debug)]
pub struct Participants {
    clock: Clock,
    by_service: Arc<ArcSwap<HashMap<String, Participant>>>,
}

impl Participants {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, by_service: Arc::default() }
    }

    /// The clock that calls are timed by.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Calls `service` over the network from now on. No connection is made before the first call.
    pub fn add_peer(&self, service: &str, peer: &Peer) {
        self.add(service, Transport::Network(Network::to(peer)), peer.address.to_string());
    }

    /// Calls `service` within this process from now on.
    pub fn add_in_process(&self, service: &str, routes: Routes) {
        self.add(service, Transport::InProcess(routes), "in process".to_owned());
    }

    fn add(&self, service: &str, transport: Transport, address: String) {
        let participant =
            Participant { client: Client::new(self.clock.clone(), transport), address };
        self.by_service.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(service.to_owned(), participant.clone());
            known
        });
    }

    /// Forgets them all. A node is its own participant: as long as it is known here, it keeps itself alive.
    pub fn clear(&self) {
        self.by_service.store(Arc::default());
    }

    /// The participant that serves `service`.
    #[must_use]
    pub fn find(&self, service: &str) -> Option<Participant> {
        self.by_service.load().get(service).cloned()
    }
}
