//! What a participant says of itself now, beside what a definition was checked against.
//!
//! It is asked when the node starts, when an operator wants to know, and when an answer carries fields that nobody here knows.
//! A participant that serves no reflection, or does not describe what it sends, is not asked again for a while.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use clock::{Clock, Timestamp};
use definition::UnknownField;
use facade::dial::{Address, Peer};
use http::uri::Authority;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use tokio::sync::{Mutex, Notify};

use super::{reflection, secrets::Secrets};

/// How long an answer waits for the contract that explains it. Who has just answered a call answers this at once.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How long fields that could not be explained are not asked about again.
const UNEXPLAINED_FOR: Duration = Duration::from_secs(60);

/// How many such fields are remembered; beyond that they are asked about again.
const MAX_UNEXPLAINED: usize = 1_000;

/// The contract of one service.
#[derive(Debug)]
pub struct Contract {
    service: String,
    address: Address,
    authority: Option<Authority>,
    secrets: OnceLock<Arc<Secrets>>,
    known: ArcSwap<Known>,
    /// Fields that came, and that nobody has asked about yet.
    noticed: ArcSwap<BTreeSet<UnknownField>>,
    /// One asks, whoever else wants to know waits for the answer.
    asking: Mutex<()>,
    news: Arc<Notify>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    pool: Option<DescriptorPool>,
    /// Why it could not be asked the last time.
    failure: Option<String>,
    /// Fields that the pool does not have either, and when it was asked about them.
    unexplained: BTreeSet<UnknownField>,
    asked_at: Option<Timestamp>,
}

impl Known {
    fn explains(&self, unknown: &UnknownField) -> bool {
        let pool = self.pool.as_ref();
        let message = pool.and_then(|pool| pool.get_message_by_name(&unknown.message));
        message.is_some_and(|message| message.get_field(unknown.number).is_some())
    }

    fn is_recent(&self, clock: &Clock) -> bool {
        self.asked_at.is_some_and(|at| clock.now().since(at) < UNEXPLAINED_FOR)
    }

    /// Whether there is nothing to ask about these fields.
    fn covers(&self, clock: &Clock, unknown: &[UnknownField]) -> bool {
        let is_recent = self.is_recent(clock);
        unknown
            .iter()
            .all(|field| self.explains(field) || (is_recent && self.unexplained.contains(field)))
    }
}

impl Contract {
    /// The contract of a service of this peer; nothing is asked yet. `news` is notified when it has changed, or should be
    /// asked for.
    #[must_use]
    pub fn new(service: &str, peer: &Peer, news: Arc<Notify>) -> Self {
        Self {
            service: service.to_owned(),
            address: peer.address.clone(),
            authority: peer.authority.clone(),
            secrets: OnceLock::new(),
            known: ArcSwap::default(),
            noticed: ArcSwap::default(),
            asking: Mutex::default(),
            news,
        }
    }

    /// The service's full name.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// What it said the last time it could be asked.
    #[must_use]
    pub fn last(&self) -> Option<DescriptorPool> {
        self.known.load().pool.clone()
    }

    /// Why it could not be asked the last time; `None` where it could, or was not asked.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.known.load().failure.clone()
    }

    /// Sends these with each question from now on.
    pub(super) fn add_secrets(&self, secrets: &Arc<Secrets>) {
        // It is said once, before the first question.
        let _ = self.secrets.set(Arc::clone(secrets));
    }

    async fn describe(&self, clock: &Clock) -> Result<DescriptorPool, String> {
        let server = reflection::Server {
            address: self.address.clone(),
            authority: self.authority.clone(),
            metadata: self.secrets.get().map(|secrets| secrets.entries()).unwrap_or_default(),
        };
        let described = reflection::describe(clock, &self.service, &[], &server).await;
        described.map_err(|failure| failure.what)
    }

    /// Asks the participant.
    pub async fn refresh(&self, clock: &Clock) {
        let _one = self.asking.lock().await;
        let described = self.describe(clock).await;
        self.keep(clock, described, &[]);
    }

    /// The message of this name as the participant describes it now, where it explains `unknown`. It is asked unless that
    /// is known.
    pub async fn explain(
        &self,
        clock: &Clock,
        message: &str,
        unknown: &[UnknownField],
    ) -> Option<MessageDescriptor> {
        if !self.known.load().covers(clock, unknown)
            && clock.timeout(ANSWER_WAIT, self.ask_about(clock, unknown)).await.is_err()
        {
            let (service, address, wait) = (&self.service, &self.address, ANSWER_WAIT.as_secs());
            let failure = format!("{service} at {address} did not describe itself within {wait} s");
            self.keep(clock, Err(failure), unknown);
        }
        self.known.load().pool.as_ref()?.get_message_by_name(message)
    }

    async fn ask_about(&self, clock: &Clock, unknown: &[UnknownField]) {
        let _one = self.asking.lock().await;
        // Whoever was first may have asked about the same.
        if !self.known.load().covers(clock, unknown) {
            let described = self.describe(clock).await;
            self.keep(clock, described, unknown);
        }
    }

    /// Takes note of fields that nobody waits for: they are asked about where contracts are compared.
    pub fn notice(&self, clock: &Clock, unknown: Vec<UnknownField>) {
        if self.known.load().covers(clock, &unknown) {
            return;
        }
        self.noticed.rcu(|noticed| {
            let mut noticed = BTreeSet::clone(noticed);
            noticed.extend(unknown.iter().cloned());
            noticed
        });
        self.news.notify_one();
    }

    /// Asks about what was noticed.
    pub(crate) async fn explain_noticed(&self, clock: &Clock) {
        let noticed = self.noticed.swap(Arc::default());
        if !noticed.is_empty() {
            let noticed: Vec<UnknownField> = noticed.iter().cloned().collect();
            self.explain(clock, "", &noticed).await;
        }
    }

    fn keep(
        &self,
        clock: &Clock,
        described: Result<DescriptorPool, String>,
        unknown: &[UnknownField],
    ) {
        let mut known = Known::clone(&self.known.load());
        match described {
            Ok(pool) => (known.pool, known.failure) = (Some(pool), None),
            Err(failure) => {
                tracing::debug!(service = self.service, failure, "a contract is not known");
                known.failure = Some(failure);
            }
        }
        if !known.is_recent(clock) || known.unexplained.len() > MAX_UNEXPLAINED {
            known.unexplained.clear();
        }
        known.asked_at = Some(clock.now());
        known.unexplained.extend(unknown.iter().cloned());
        let unexplained = std::mem::take(&mut known.unexplained);
        known.unexplained =
            unexplained.into_iter().filter(|field| !known.explains(field)).collect();
        self.known.store(Arc::new(known));
        self.news.notify_one();
    }
}
