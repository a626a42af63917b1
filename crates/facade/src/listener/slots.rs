//! How many connections there are, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::config::Connections;

#[derive(Clone, Debug)]
pub(super) struct Slots {
    counts: Arc<Mutex<Counts>>,
    max: usize,
    max_per_address: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A permit for one connection; dropped, its place is free again.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    address: IpAddr,
}

impl Slots {
    pub(super) fn new(limits: &Connections) -> Self {
        let (max, max_per_address) = (limits.max.get(), limits.max_per_address.get());
        Self { counts: Arc::default(), max, max_per_address }
    }

    /// `None` where there are as many as may be.
    pub(super) fn take(&self, address: IpAddr) -> Option<Slot> {
        // An IPv4 client of an IPv6 socket is the same client.
        let address = address.to_canonical();
        let mut counts = self.counts();
        if counts.all >= self.max {
            return None;
        }
        let of_address = counts.by_address.entry(address).or_default();
        if *of_address >= self.max_per_address {
            return None;
        }
        *of_address += 1;
        counts.all += 1;
        Some(Slot { slots: self.clone(), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts();
        counts.all -= 1;
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
    use std::num::NonZero;

    use super::*;

    fn slots(max: usize, max_per_address: usize) -> Slots {
        Slots::new(&Connections {
            max: NonZero::new(max).unwrap(),
            max_per_address: NonZero::new(max_per_address).unwrap(),
            ..Connections::default()
        })
    }

    #[test]
    fn one_address_takes_no_more_than_its_share_and_all_no_more_than_there_is() {
        let slots = slots(3, 2);
        let [one, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let held = [slots.take(one), slots.take(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.take(one).is_none(), "its share is taken");
        let last = slots.take(other);
        assert!(last.is_some());
        assert!(slots.take("10.0.0.3".parse().unwrap()).is_none(), "all are taken");
        drop(held);
        assert!(slots.take(one).is_some());
    }

    #[test]
    fn an_ipv4_client_is_the_same_client_on_an_ipv6_socket() {
        let slots = slots(9, 1);
        let _held = slots.take("10.0.0.1".parse().unwrap()).unwrap();
        assert!(slots.take("::ffff:10.0.0.1".parse().unwrap()).is_none());
    }

    #[test]
    fn a_slot_that_was_given_back_leaves_nothing_behind() {
        let slots = slots(9, 9);
        drop(slots.take("10.0.0.1".parse().unwrap()));
        assert!(slots.counts().by_address.is_empty());
        assert_eq!(slots.counts().all, 0);
    }
}
