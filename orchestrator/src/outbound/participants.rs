//! Which participant serves which service, and where it is reached.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    calls: Arc<AtomicUsize>,
}

/// A call that is under way.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Participant {
    /// Counts a call as under way until what it gives is dropped.
    #[must_use]
    pub fn under_way(&self) -> UnderWay {
        self.calls.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.calls))
    }

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
        let client = Client::new(self.clock.clone(), transport);
        let participant = Participant { client, address, calls: Arc::default() };
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

    /// How many calls to `service` are under way or in line.
    #[must_use]
    pub fn under_way(&self, service: &str) -> usize {
        let known = self.by_service.load();
        known.get(service).map_or(0, |known| known.calls.load(Ordering::Relaxed))
    }

    /// Whether `service` is served within this process.
    #[must_use]
    pub fn is_within(&self, service: &str) -> bool {
        let known = self.by_service.load();
        known.get(service).is_some_and(|known| known.client.is_within())
    }

    /// Who serves `service`.
    #[must_use]
    pub fn find(&self, service: &str) -> Option<Participant> {
        self.by_service.load().get(service).cloned()
    }
}
