//! The connections to one endpoint.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use h2::client::SendRequest;
use tonic::Status;

use super::{
    open::{Open, Shared},
    watch::Sign,
};
use crate::dial::Endpoint;

/// How long an endpoint that failed is left alone while others are there: so long at first, twice as long each time, and no
/// longer than the last.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
const BACKOFF_CAP: Duration = Duration::from_secs(30);

/// An endpoint, the connections to it, and how it has failed.
pub(super) struct Subchannel {
    pub(super) id: u64,
    pub(super) endpoint: Endpoint,
    open: Vec<Open>,
    /// A task is connecting now.
    pub(super) connecting: bool,
    /// The last attempt to connect failed: no further one is made while other connections are open.
    refuses_more: bool,
    /// How often it has failed since it was last heard from.
    failures: u32,
    /// Until when it is left alone.
    backoff_until: Timestamp,
    /// Why it failed last.
    why: Option<Status>,
}

/// In which order subchannels are taken: one that is not in doubt, and among these the one with the fewest calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// It is silent; or it has failed, and the first call since is not answered yet.
    is_in_doubt: bool,
    taken: usize,
}

impl Subchannel {
    /// No connection yet.
    pub(super) fn new(id: u64, endpoint: Endpoint) -> Self {
        Self {
            id,
            endpoint,
            open: Vec::new(),
            connecting: false,
            refuses_more: false,
            failures: 0,
            backoff_until: Timestamp(0),
            why: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn connections(&self) -> usize {
        self.open.len()
    }

    /// How many streams the peer takes at once, on all connections.
    pub(super) fn limit(&self) -> usize {
        self.open.iter().fold(0, |sum, open| sum.saturating_add(open.limit))
    }

    /// `None` where no stream is free.
    pub(super) fn rank(&self) -> Option<Rank> {
        let next = self.open.iter().find(|open| open.has_free_stream())?;
        let taken = self.open.iter().map(|open| open.taken).sum();
        // A process that hangs may still take connections: one call finds out.
        let is_tried = self.failures > 0 && next.is_unproven() && taken > 0;
        Some(Rank { is_in_doubt: is_tried || next.is_silent(), taken })
    }

    /// Takes a stream of the first connection that has one free, so that as few connections as possible are used.
    pub(super) fn take(&mut self, clock: &Clock) -> Option<(SendRequest<Bytes>, Arc<Shared>)> {
        while let Some(index) = self.open.iter().position(Open::has_free_stream) {
            let open = &mut self.open[index];
            if open.is_ready() {
                return Some(open.take());
            }
            self.remove(index, clock.now());
        }
        None
    }

    /// The connection of this number.
    pub(super) fn find(&mut self, number: u64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.number() == number)
    }

    /// Forgets a connection that has closed; the calls that it has go on.
    pub(super) fn closed(&mut self, number: u64, now: Timestamp) {
        if let Some(index) = self.open.iter().position(|open| open.number() == number) {
            self.remove(index, now);
        }
    }

    fn remove(&mut self, index: usize, now: Timestamp) {
        // Without this, a peer that closes each connection at once would be connected to in an endless loop.
        if !self.open.remove(index).is_used {
            self.refuses_more = true;
            self.failed(now, Status::unavailable("the connection closed before it took a call"));
        }
    }

    /// Sends no further call over this connection, nor over one that is idle: that leads to the same process, more often
    /// than not, and costs little to make again.
    pub(super) fn retire(&mut self, number: u64) {
        self.open.retain(|open| open.number() != number && open.taken > 0);
    }

    /// Adds a connection.
    pub(super) fn connected(&mut self, open: Open) {
        self.connecting = false;
        self.refuses_more &= self.is_open();
        self.open.push(open);
    }

    /// No connection was made.
    pub(super) fn connect_failed(&mut self, now: Timestamp, why: Status) {
        self.connecting = false;
        self.refuses_more = true;
        if !self.is_open() {
            self.failed(now, why);
        }
    }

    /// Leaves the endpoint alone for a while.
    pub(super) fn failed(&mut self, now: Timestamp, why: Status) {
        let doubled = BACKOFF_BASE.saturating_mul(2_u32.saturating_pow(self.failures));
        self.backoff_until = now.after(doubled.min(BACKOFF_CAP));
        self.failures = self.failures.saturating_add(1);
        self.why = Some(why);
    }

    /// Why there is no connection.
    pub(super) fn why(&self) -> Option<&Status> {
        self.why.as_ref()
    }

    /// Ends the time that it is left alone.
    pub(super) fn end_backoff(&mut self) {
        self.backoff_until = Timestamp(0);
    }

    /// Whether it has no connection, none is being made, and one may be.
    pub(super) fn may_connect(&self, now: Timestamp) -> bool {
        !self.is_open() && !self.connecting && now >= self.backoff_until
    }

    /// Whether another connection is worth making for callers that find no stream.
    pub(super) fn may_connect_more(&self, now: Timestamp, max_connections: usize) -> bool {
        // A peer that allows no stream at all on one connection will not do so on the next.
        let is_short = self.is_open()
            && !self.connecting
            && !self.refuses_more
            && self.open.len() < max_connections
            && self.open.iter().all(|open| open.is_used);
        is_short || self.may_connect(now)
    }

    /// Looks at each connection, and gives the numbers of those that hang.
    pub(super) fn tick(&mut self) -> Vec<u64> {
        let mut hung = Vec::new();
        for open in &mut self.open {
            match open.tick() {
                Sign::Heard => self.failures = 0,
                Sign::Nothing => {}
                Sign::Hung => hung.push(open.number()),
            }
        }
        hung
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Address;

    fn subchannel() -> Subchannel {
        let address: Address = "127.0.0.1:1".parse().unwrap();
        Subchannel::new(1, address.endpoints().unwrap().remove(0))
    }

    #[test]
    fn an_endpoint_that_fails_again_and_again_is_left_alone_for_longer_each_time_up_to_the_cap() {
        let mut dead = subchannel();
        let mut now = Timestamp(0);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(dead.may_connect(now), "{seconds}");
            dead.connecting = true;
            assert!(!dead.may_connect(now), "one attempt at a time");
            dead.connect_failed(now, Status::unavailable("refused"));
            let wait = Duration::from_secs(seconds);
            assert!(!dead.may_connect(now.after(wait - Duration::from_millis(1))));
            now = now.after(wait);
        }
        dead.end_backoff();
        assert!(dead.may_connect(now));
    }

    #[test]
    fn a_subchannel_that_is_not_in_doubt_comes_before_one_with_fewer_calls() {
        let rank = |is_in_doubt, taken| Rank { is_in_doubt, taken };
        assert!(rank(false, 9) < rank(true, 0));
        assert!(rank(false, 1) < rank(false, 2));
    }
}
