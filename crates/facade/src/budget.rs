//! The one place that owns budgets: how many bytes of requests and responses a process and each of its connections may
//! hold, how much work may be heavy at once, and how long a peer may keep what it does not take.
//!
//! A process has one [`Budget`], which all its servers share. A connection has an account of it: whatever is taken from
//! the account is taken from the process too. What holds bytes has a lease, which grows with what has arrived and gives
//! back when it is dropped. Taking is one addition to two counters, without a lock or an allocation. Up to its reserve a
//! connection takes also where the process has nothing left: who uses the process' budget up must not thereby shut out
//! everybody who needs little.
//!
//! A new way into a process gets its budget by being served by [`crate::listener`], which opens an account for each
//! connection and puts it into each request. Slots are counted beside what they are for: calls in flight in
//! `layers/shed.rs`, connections in `listener/slots.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Failure,
    config::{Requests, Responses},
};

/// Who finds a budget spent should leave us alone for so long.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What a connection may hold of requests, and of responses, whatever the others hold.
const RESERVE: usize = 32 * 1024;

/// A response of so many bytes goes out in any case.
const SMALL_RESPONSE: usize = 4096;

/// How much heavy work runs at once in a process, each on a thread beside the event loop. More would take the processor
/// from the event loop.
const HEAVY_IN_ALL: usize = 2;

/// To decode and check more bytes than this takes some milliseconds.
const HEAVY_BYTES: usize = 16 * 1024;

/// Whether to decode and check so many bytes is work for [`crate::Call::off_the_loop`].
#[must_use]
pub fn is_heavy(bytes: usize) -> bool {
    bytes > HEAVY_BYTES
}

/// The budget of a process. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Process>);

#[derive(Debug)]
struct Process {
    request_limits: Requests,
    response_limits: Responses,
    requests: Held,
    responses: Held,
    /// How often there was no room, by purpose and scope.
    refusals: [[AtomicU64; 2]; 2],
    heavy: Arc<Semaphore>,
}

/// The part of the budget that one connection has.
#[derive(Debug)]
pub(crate) struct Account {
    process: Budget,
    requests: Held,
    responses: Held,
    /// How large the last response was that there was no room for; 0 once there was room for one. Until as much is free, no
    /// call is carried out whose response might have to be dropped too.
    dropped: AtomicUsize,
    taken: AtomicUsize,
    heavy: Arc<Semaphore>,
}

/// What bytes are held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Requests,
    Responses,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Process,
    Connection,
}

/// Bytes that are held, up to a limit.
#[derive(Debug)]
struct Held {
    bytes: AtomicUsize,
    limit: usize,
}

/// A budget has nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    setting: &'static str,
    limit: usize,
}

impl Budget {
    /// A budget of so much.
    #[must_use]
    pub fn new(request_limits: Requests, response_limits: Responses) -> Self {
        Self(Arc::new(Process {
            requests: Held::up_to(request_limits.bytes.get()),
            responses: Held::up_to(response_limits.bytes.get()),
            refusals: Default::default(),
            heavy: Arc::new(Semaphore::new(HEAVY_IN_ALL)),
            request_limits,
            response_limits,
        }))
    }

    pub(crate) fn request_limits(&self) -> &Requests {
        &self.0.request_limits
    }

    /// How many bytes of requests the process holds.
    #[must_use]
    pub fn request_bytes(&self) -> usize {
        self.0.requests.now()
    }

    /// How many bytes of responses wait for their callers to take them.
    #[must_use]
    pub fn response_bytes(&self) -> usize {
        self.0.responses.now()
    }

    pub(crate) fn held_bytes(&self, purpose: Purpose) -> usize {
        self.held(purpose).now()
    }

    pub(crate) fn limit_bytes(&self, purpose: Purpose) -> usize {
        self.held(purpose).limit
    }

    /// How often there was no room.
    pub(crate) fn refusals(&self, purpose: Purpose, scope: Scope) -> u64 {
        self.0.refusals[purpose as usize][scope as usize].load(Ordering::Relaxed)
    }

    /// Counts that there was no room, where the limit is this.
    fn spent(&self, purpose: Purpose, scope: Scope, limit: usize) -> Spent {
        self.0.refusals[purpose as usize][scope as usize].fetch_add(1, Ordering::Relaxed);
        let setting = match (purpose, scope) {
            (Purpose::Requests, Scope::Connection) => "limits.requests.bytes_per_connection",
            (Purpose::Responses, Scope::Connection) => "limits.responses.bytes_per_connection",
            (Purpose::Requests, Scope::Process) => "limits.requests.bytes",
            (Purpose::Responses, Scope::Process) => "limits.responses.bytes",
        };
        Spent { setting, limit }
    }

    /// The account of a new connection.
    pub(crate) fn account(&self) -> Arc<Account> {
        Arc::new(Account {
            requests: Held::up_to(self.0.request_limits.bytes_per_connection.get()),
            responses: Held::up_to(self.0.response_limits.bytes_per_connection.get()),
            dropped: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            heavy: Arc::new(Semaphore::new(1)),
            process: self.clone(),
        })
    }

    /// Waits until heavy work may begin. The permit is to be kept by the work itself, which goes on also when nobody waits
    /// for it any more. A connection does one at a time.
    pub(crate) async fn heavy(&self, account: Option<&Account>) -> HeavyPermit {
        let of_connection = match account {
            Some(account) => Arc::clone(&account.heavy).acquire_owned().await.ok(),
            None => None,
        };
        let of_process = Arc::clone(&self.0.heavy).acquire_owned().await.ok();
        HeavyPermit { _of_connection: of_connection, _of_process: of_process }
    }

    fn held(&self, purpose: Purpose) -> &Held {
        match purpose {
            Purpose::Requests => &self.0.requests,
            Purpose::Responses => &self.0.responses,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Requests::default(), Responses::default())
    }
}

/// Leave to do one piece of heavy work.
pub(crate) struct HeavyPermit {
    _of_connection: Option<OwnedSemaphorePermit>,
    _of_process: Option<OwnedSemaphorePermit>,
}

impl Account {
    pub(crate) fn lease_for_request(self: &Arc<Self>) -> Lease {
        Lease { account: Arc::clone(self), purpose: Purpose::Requests, bytes: 0 }
    }

    /// A lease of so many bytes for a response that is ready. A small one gets it in any case: its call was carried out, and
    /// there are no more of them than calls in flight.
    ///
    /// # Errors
    /// When the connection or the process holds too many bytes of responses.
    pub(crate) fn lease_for_response(self: &Arc<Self>, bytes: usize) -> Result<Lease, Spent> {
        let purpose = Purpose::Responses;
        let mut lease = Lease { account: Arc::clone(self), purpose, bytes: 0 };
        if bytes <= SMALL_RESPONSE {
            lease.grow_in_any_case(bytes);
            return Ok(lease);
        }
        let grown = lease.grow(bytes);
        self.dropped.store(if grown.is_ok() { 0 } else { bytes }, Ordering::Relaxed);
        grown.map(|()| lease)
    }

    /// # Errors
    /// When the connection or the process holds as many bytes of responses as it may.
    pub(crate) fn room_for_responses(&self) -> Result<(), Spent> {
        let purpose = Purpose::Responses;
        let (own, all) = (self.held(purpose), self.process.held(purpose));
        let dropped = self.dropped.load(Ordering::Relaxed).min(own.limit);
        let held = own.now();
        if held >= own.limit || held > 0 && held + dropped > own.limit {
            return Err(self.process.spent(purpose, Scope::Connection, own.limit));
        }
        if all.now() >= all.limit && held > RESERVE {
            return Err(self.process.spent(purpose, Scope::Process, all.limit));
        }
        Ok(())
    }

    /// How many bytes of responses wait for the peer to take them.
    pub(crate) fn waiting(&self) -> usize {
        self.responses.now()
    }

    /// How many bytes of responses the peer has taken so far; it wraps.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// After how long the connection is closed where its peer takes nothing.
    pub(crate) fn stall_timeout(&self) -> Duration {
        self.process.0.response_limits.stall_timeout
    }

    fn held(&self, purpose: Purpose) -> &Held {
        match purpose {
            Purpose::Requests => &self.requests,
            Purpose::Responses => &self.responses,
        }
    }
}

impl Held {
    fn up_to(limit: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), limit }
    }

    fn now(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives how many bytes are held then; `None` where that would be too many.
    fn take(&self, bytes: usize) -> Option<usize> {
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if held > self.limit {
            self.give_back(bytes);
            return None;
        }
        Some(held)
    }

    fn take_in_any_case(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that somebody holds. Dropped, it gives them back.
#[derive(Debug)]
pub(crate) struct Lease {
    account: Arc<Account>,
    purpose: Purpose,
    bytes: usize,
}

impl Lease {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// When the connection's or the process' budget has not so many left; nothing is taken then.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Spent> {
        let (of_connection, process) = (self.account.held(self.purpose), &self.account.process);
        let Some(own) = of_connection.take(bytes) else {
            return Err(process.spent(self.purpose, Scope::Connection, of_connection.limit));
        };
        let of_process = process.held(self.purpose);
        if own <= RESERVE {
            of_process.take_in_any_case(bytes);
        } else if of_process.take(bytes).is_none() {
            of_connection.give_back(bytes);
            return Err(process.spent(self.purpose, Scope::Process, of_process.limit));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Takes so many bytes more, whether there are any left or not.
    pub(crate) fn grow_in_any_case(&mut self, bytes: usize) {
        self.account.held(self.purpose).take_in_any_case(bytes);
        self.account.process.held(self.purpose).take_in_any_case(bytes);
        self.bytes += bytes;
    }

    /// Gives so many of its bytes back, since the peer has taken them.
    pub(crate) fn taken(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.account.taken.fetch_add(bytes, Ordering::Relaxed);
        self.give_back(bytes);
    }

    fn give_back(&mut self, bytes: usize) {
        self.account.held(self.purpose).give_back(bytes);
        self.account.process.held(self.purpose).give_back(bytes);
        self.bytes -= bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

impl From<Spent> for Failure {
    fn from(Spent { setting, limit }: Spent) -> Self {
        Self::Overloaded {
            message: format!("as many bytes are under way as {setting} allows, {limit}"),
            retry_after: RETRY_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    fn budget(of_process: usize, of_connection: usize) -> Budget {
        let requests = Requests {
            bytes: NonZero::new(of_process).unwrap(),
            bytes_per_connection: NonZero::new(of_connection).unwrap(),
            ..Requests::default()
        };
        Budget::new(requests, Responses::default())
    }

    #[test]
    fn a_connection_takes_no_more_than_its_share_and_gives_back_what_it_drops() {
        let budget = budget(100_000, 60_000);
        let (one, other) = (budget.account(), budget.account());
        let (mut lease, mut second) = (one.lease_for_request(), other.lease_for_request());
        lease.grow(60_000).unwrap();
        let spent = lease.grow(1).unwrap_err();
        assert_eq!(spent.setting, "limits.requests.bytes_per_connection");
        second.grow(40_000).unwrap();
        let spent = second.grow(1).unwrap_err();
        assert_eq!(spent.setting, "limits.requests.bytes");
        assert_eq!(budget.request_bytes(), 100_000, "what was refused is not held");
        drop(lease);
        second.grow(20_000).unwrap();
        assert_eq!(budget.request_bytes(), 60_000);
        drop(second);
        assert_eq!(budget.request_bytes(), 0);
    }

    #[test]
    fn who_needs_little_gets_it_also_where_others_hold_all_there_is() {
        let budget = budget(100_000, 100_000);
        let (greedy, modest) = (budget.account(), budget.account());
        let (mut all, mut little) = (greedy.lease_for_request(), modest.lease_for_request());
        all.grow(100_000).unwrap();
        little.grow(RESERVE).unwrap();
        let spent = little.grow(1).unwrap_err();
        assert_eq!(spent.setting, "limits.requests.bytes");
        drop((all, little));
        assert_eq!(budget.request_bytes(), 0);
    }

    #[tokio::test]
    async fn a_connection_does_one_piece_of_heavy_work_at_a_time() {
        use futures::FutureExt;

        let budget = Budget::default();
        let (one, other, third) = (budget.account(), budget.account(), budget.account());
        let first = budget.heavy(Some(&one)).await;
        assert!(budget.heavy(Some(&one)).now_or_never().is_none());
        let second = budget.heavy(Some(&other)).await;
        assert!(budget.heavy(Some(&third)).now_or_never().is_none(), "the process does two");
        drop((first, second));
        budget.heavy(Some(&one)).await;
    }
}
