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
use http::HeaderMap;
use tokio::sync::Notify;
use tonic::service::Routes;

use super::{Contract, secrets::Secrets};
use crate::config::Metadata;

/// One service and the way to it.
#[derive(Clone, Debug)]
pub struct Participant {
    client: Client,
    address: String,
    calls: Arc<AtomicUsize>,
    secrets: Option<Arc<Secrets>>,
    contract: Option<Arc<Contract>>,
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

    /// What goes with every call to it.
    #[must_use]
    pub fn metadata(&self) -> Option<Arc<HeaderMap>> {
        self.secrets.as_ref().map(|secrets| secrets.entries())
    }

    /// What it says of itself; `None` for a service in this process, which this program describes.
    #[must_use]
    pub fn contract(&self) -> Option<&Arc<Contract>> {
        self.contract.as_ref()
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
    contract_news: Arc<Notify>,
}

impl Participants {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, by_service: Arc::default(), contract_news: Arc::default() }
    }

    /// The clock that calls are timed by.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Calls `service` over the network from now on. No connection is made before the first call.
    pub fn add_peer(&self, service: &str, peer: &Peer) {
        let contract =
            Contract::new(service, peer.address.clone(), Arc::clone(&self.contract_news));
        let transport = Transport::Network(Network::to(peer));
        self.add(service, transport, peer.address.to_string(), Some(Arc::new(contract)));
    }

    /// Calls `service` within this process from now on.
    pub fn add_in_process(&self, service: &str, routes: Routes) {
        self.add(service, Transport::InProcess(routes), "in process".to_owned(), None);
    }

    fn add(
        &self,
        service: &str,
        transport: Transport,
        address: String,
        contract: Option<Arc<Contract>>,
    ) {
        let client = Client::new(self.clock.clone(), transport);
        let calls = Arc::default();
        let participant = Participant { client, address, calls, secrets: None, contract };
        self.insert(service, &participant);
    }

    fn insert(&self, service: &str, participant: &Participant) {
        self.by_service.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(service.to_owned(), participant.clone());
            known
        });
    }

    /// Sends `metadata` with every call to `service` from now on, which is known already.
    ///
    /// # Errors
    /// A sentence that begins with the entry's name: a file cannot be read, or holds what cannot be sent.
    pub fn add_metadata(&self, service: &str, metadata: &Metadata) -> Result<(), String> {
        let secrets = Some(Arc::new(Secrets::read(metadata)?));
        if let Some(participant) = self.find(service) {
            self.insert(service, &Participant { secrets, ..participant });
        }
        Ok(())
    }

    /// Whether files are to be read again.
    pub(crate) fn have_secrets_in_files(&self) -> bool {
        self.secrets().iter().any(|(_, secrets)| secrets.has_files())
    }

    /// The metadata of all that have some.
    pub(super) fn secrets(&self) -> Vec<(String, Arc<Secrets>)> {
        let known = self.by_service.load();
        let secrets = |(service, participant): (&String, &Participant)| {
            Some((service.clone(), Arc::clone(participant.secrets.as_ref()?)))
        };
        known.iter().filter_map(secrets).collect()
    }

    /// The contracts of all that are called over the network.
    #[must_use]
    pub fn contracts(&self) -> Vec<Arc<Contract>> {
        let known = self.by_service.load();
        known.values().filter_map(|participant| participant.contract.clone()).collect()
    }

    /// Completes when a contract was asked for, or answers make it worth asking, since this completed the last time.
    pub async fn contract_news(&self) {
        self.contract_news.notified().await;
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
