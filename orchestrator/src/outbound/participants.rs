//! Which participant serves which service, and where it is reached.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use clock::Clock;
use facade::{
    caller::{Client, Network, Transport},
    dial::Peer,
};
use http::HeaderMap;
use saga::Direction;
use tokio::sync::Notify;
use tonic::service::Routes;

use super::{
    CallLimits, Contract,
    limiter::{Limiter, Place, Snapshot},
    secrets::Secrets,
    traffic::{Traffic, TrafficView},
};
use crate::config::Metadata;

/// One service and the way to it.
#[derive(Debug)]
pub struct Participant {
    client: Client,
    address: String,
    secrets: OnceLock<Arc<Secrets>>,
    limiter: Limiter,
    contract: Option<Arc<Contract>>,
    traffic: Traffic,
}

impl Participant {
    /// Makes the calls.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What goes with every call to it.
    #[must_use]
    pub fn metadata(&self) -> Option<Arc<HeaderMap>> {
        self.secrets.get().map(|secrets| secrets.entries())
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

    /// What the attempts to it have come to.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How much it may be called.
    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }
}

/// All participants, by the full name of their service. Cheap to clone; all clones see what is added.
#[derive(Clone, Debug)]
pub struct Participants {
    clock: Clock,
    metrics: metrics::Registry,
    by_service: Arc<ArcSwap<HashMap<String, Arc<Participant>>>>,
    contract_news: Arc<Notify>,
}

impl Participants {
    /// None yet. Nothing is measured of their calls.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (metrics, by_service) = (metrics::Registry::off(), Arc::default());
        Self { clock, metrics, by_service, contract_news: Arc::default() }
    }

    /// The same, with the calls to those that are added from now on measured by this registry.
    #[must_use]
    pub fn measured_by(self, metrics: metrics::Registry) -> Self {
        Self { metrics, ..self }
    }

    /// The clock that calls are timed by.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Calls `service` over the network from now on, within these limits. No connection is made before the first call.
    pub fn add_peer(&self, service: &str, peer: &Peer, limits: CallLimits) {
        let transport = Transport::Network(Network::to(peer));
        let limiter = Limiter::new(self.clock.clone(), limits);
        let contract = Contract::new(service, peer, Arc::clone(&self.contract_news));
        let participant = Participant {
            contract: Some(Arc::new(contract)),
            ..self.participant(transport, peer.address.to_string(), limiter)
        };
        self.add(service, participant);
    }

    /// Calls `service` within this process from now on.
    pub fn add_in_process(&self, service: &str, routes: Routes) {
        let (transport, limiter) = (Transport::InProcess(routes), Limiter::unlimited());
        self.add(service, self.participant(transport, "in process".to_owned(), limiter));
    }

    fn participant(&self, transport: Transport, address: String, limiter: Limiter) -> Participant {
        let client = Client::new(self.clock.clone(), transport).measured_by(&self.metrics);
        Participant {
            client,
            address,
            secrets: OnceLock::new(),
            limiter,
            contract: None,
            traffic: Traffic::default(),
        }
    }

    fn add(&self, service: &str, participant: Participant) {
        let participant = Arc::new(participant);
        self.by_service.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(service.to_owned(), Arc::clone(&participant));
            known
        });
    }

    /// Sends `metadata` with every call to `service` from now on, which is known already, and with what its reflection is
    /// asked.
    ///
    /// # Errors
    /// A sentence that begins with the entry's name: a file cannot be read, or holds what cannot be sent.
    pub fn add_metadata(&self, service: &str, metadata: &Metadata) -> Result<(), String> {
        let secrets = Arc::new(Secrets::read(metadata)?);
        if let Some(participant) = self.find(service) {
            if let Some(contract) = &participant.contract {
                contract.add_secrets(&secrets);
            }
            // It is said once, before the first call.
            let _ = participant.secrets.set(secrets);
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
        let secrets = |(service, participant): (&String, &Arc<Participant>)| {
            Some((service.clone(), Arc::clone(participant.secrets.get()?)))
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
        self.by_service.load().get(service).map_or(0, |known| known.limiter.calls())
    }

    /// How the limits of each participant outside of this process stand, by service.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, Snapshot)> {
        let known = self.by_service.load();
        let lines = known.iter().map(|(service, known)| Some((service, known.limiter.snapshot()?)));
        lines.flatten().map(|(service, line)| (service.clone(), line)).collect()
    }

    /// What the attempts to each participant have come to, by service.
    pub(crate) fn traffic(&self) -> Vec<(String, TrafficView)> {
        let known = self.by_service.load();
        known.iter().map(|(service, known)| (service.clone(), known.traffic.view())).collect()
    }

    /// Where `service` is reached over the network; `None` for one in this process.
    #[must_use]
    pub(crate) fn address(&self, service: &str) -> Option<String> {
        let participant = self.find(service)?;
        participant.contract.is_some().then(|| participant.address.clone())
    }

    /// Whether `service` is served within this process.
    #[must_use]
    pub fn is_within(&self, service: &str) -> bool {
        let known = self.by_service.load();
        known.get(service).is_some_and(|known| known.client.is_within())
    }

    /// Where a saga's call to `service` stands in line, if it waits there.
    #[must_use]
    pub fn place(
        &self,
        service: &str,
        saga_id: &str,
        step: &str,
        direction: Direction,
    ) -> Option<Place> {
        self.by_service.load().get(service)?.limiter.place(saga_id, step, direction)
    }

    /// Who serves `service`.
    #[must_use]
    pub fn find(&self, service: &str) -> Option<Arc<Participant>> {
        self.by_service.load().get(service).cloned()
    }
}
