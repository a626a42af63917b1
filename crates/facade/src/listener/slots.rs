//! How many connections there are, in all and from each address.
//!
//! A connection that has not said yet what it speaks makes room for the next: who floods a listener with silent connections
//! then sends away its own, and a client that speaks at once is let in.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{config::Connections, measures::RefusedBy};

/// How many connections each listener of the process may have, where its files are fewer than its settings need.
pub(crate) type Share = Arc<OnceLock<NonZero<usize>>>;

#[derive(Clone, Debug)]
pub(super) struct Slots {
    counts: Arc<Mutex<Counts>>,
    max: usize,
    max_per_address: usize,
    share: Share,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// By the number of the slot, so the oldest first.
    silent: BTreeMap<u64, Silent>,
    next: u64,
}

#[derive(Debug)]
struct Silent {
    address: IpAddr,
    leave: CancellationToken,
}

/// A permit for one connection; dropped, its place is free again.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    address: IpAddr,
    number: u64,
}

impl Slots {
    pub(super) fn new(limits: &Connections, share: Share) -> Self {
        let (max, max_per_address) = (limits.max.get(), limits.max_per_address.get());
        Self { counts: Arc::default(), max, max_per_address, share }
    }

    /// A slot, and a token that says that the connection is to leave when it is cancelled.
    ///
    /// # Errors
    /// There are as many as may be, in all or from this address.
    pub(super) fn take(&self, address: IpAddr) -> Result<(Slot, CancellationToken), RefusedBy> {
        // An IPv4 client of an IPv6 socket is the same client.
        let address = address.to_canonical();
        let (max, max_per_address) = self.limits();
        let mut counts = self.counts();
        if counts.all >= max {
            return Err(RefusedBy::All);
        }
        let of_address = counts.by_address.entry(address).or_default();
        if *of_address >= max_per_address {
            return Err(RefusedBy::Address);
        }
        *of_address += 1;
        counts.all += 1;
        let (number, leave) = (counts.next, CancellationToken::new());
        counts.next += 1;
        counts.silent.insert(number, Silent { address, leave: leave.clone() });
        Ok((Slot { slots: self.clone(), address, number }, leave))
    }

    /// Sends the oldest silent connection away whose place would be free for this address. False where there is none.
    pub(super) fn send_away(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (_, max_per_address) = self.limits();
        let mut counts = self.counts();
        let all = counts.by_address.get(&address).is_none_or(|count| *count < max_per_address);
        let mut silent = counts.silent.iter();
        let oldest = silent.find(|(_, silent)| all || silent.address == address);
        let Some(number) = oldest.map(|(number, _)| *number) else { return false };
        if let Some(silent) = counts.silent.remove(&number) {
            silent.leave.cancel();
        }
        true
    }

    /// Sends every silent connection away: there is nothing of theirs to finish.
    pub(super) fn send_all_away(&self) {
        for silent in std::mem::take(&mut self.counts().silent).into_values() {
            silent.leave.cancel();
        }
    }

    /// In all, and from one address: not more than a half where the files are few.
    fn limits(&self) -> (usize, usize) {
        match self.share.get().map(|share| share.get()).filter(|share| *share < self.max) {
            None => (self.max, self.max_per_address),
            Some(share) => (share, self.max_per_address.min(share.div_ceil(2))),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The connection has said what it speaks, and keeps its place.
    pub(super) fn has_spoken(&self) {
        self.slots.counts().silent.remove(&self.number);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        counts.all -= 1;
        counts.silent.remove(&self.number);
        if let Some(of_address) = counts.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(max: usize, max_per_address: usize) -> Slots {
        let limits = Connections {
            max: NonZero::new(max).unwrap(),
            max_per_address: NonZero::new(max_per_address).unwrap(),
            ..Connections::default()
        };
        Slots::new(&limits, Share::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_takes_no_more_than_its_share_and_all_no_more_than_there_is() {
        let slots = slots(3, 2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(address);
        let held = [slots.take(one), slots.take(one)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(slots.take(one).unwrap_err(), RefusedBy::Address);
        let last = slots.take(other);
        assert!(last.is_ok());
        assert_eq!(slots.take(address("10.0.0.3")).unwrap_err(), RefusedBy::All);
        drop(held);
        assert!(slots.take(one).is_ok());
    }

    #[test]
    fn an_ipv4_client_is_the_same_client_on_an_ipv6_socket() {
        let slots = slots(9, 1);
        let _held = slots.take(address("10.0.0.1")).unwrap();
        assert!(slots.take(address("::ffff:10.0.0.1")).is_err());
    }

    #[test]
    fn a_slot_that_was_given_back_leaves_nothing_behind() {
        let slots = slots(9, 9);
        drop(slots.take(address("10.0.0.1")));
        assert!(slots.counts().by_address.is_empty() && slots.counts().silent.is_empty());
        assert_eq!(slots.counts().all, 0);
    }

    #[test]
    fn the_oldest_silent_connection_makes_room_and_one_that_has_spoken_stays() {
        let slots = slots(3, 3);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(address);
        let (spoken, of_spoken) = slots.take(one).unwrap();
        spoken.has_spoken();
        let (_older, of_older) = slots.take(one).unwrap();
        let (_newer, of_newer) = slots.take(one).unwrap();
        assert!(slots.send_away(other));
        assert!(of_older.is_cancelled() && !of_newer.is_cancelled());
        assert!(slots.send_away(other));
        assert!(of_newer.is_cancelled() && !of_spoken.is_cancelled());
        assert!(!slots.send_away(other), "nobody is silent");
    }

    #[test]
    fn an_address_that_has_its_share_sends_away_its_own() {
        let slots = slots(9, 2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(address);
        let (_of_other, leave_other) = slots.take(other).unwrap();
        let (_of_one, leave_one) = slots.take(one).unwrap();
        let (second, _) = slots.take(one).unwrap();
        second.has_spoken();
        assert!(slots.send_away(one));
        assert!(leave_one.is_cancelled() && !leave_other.is_cancelled());
        assert!(!slots.send_away(one));
    }

    #[test]
    fn where_files_are_few_there_are_fewer_and_one_address_has_half_of_them() {
        let slots = slots(9, 9);
        slots.share.set(NonZero::new(3).unwrap()).unwrap();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(address);
        let _held = [slots.take(one).unwrap(), slots.take(one).unwrap()];
        assert!(slots.take(one).is_err());
        let _last = slots.take(other).unwrap();
        assert!(slots.take(other).is_err());
    }
}
