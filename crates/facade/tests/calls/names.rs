//! Names whose addresses change while calls run.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use clock::{Clock, ManualTime, Timestamp};
use facade::{
    caller::{Client, Network, Transport},
    dial::{Peer, Resolver},
};
use tokio::net::TcpListener;

use crate::network::{LIMIT, Parrot, call, listen, parrot};

const TICK: Duration = Duration::from_millis(500);
/// How many ticks there are in the interval of look-ups, and in the least interval where a connection failed.
const INTERVAL: usize = 60;
const MIN_INTERVAL: usize = 2;

/// What a name leads to; `None` where it cannot be looked up.
type Found = Arc<Mutex<Option<Vec<SocketAddr>>>>;

struct Name {
    found: Found,
    client: Client,
    time: ManualTime,
}

impl Name {
    fn leading_to(addresses: &[SocketAddr]) -> Self {
        let found: Found = Arc::new(Mutex::new(Some(addresses.to_vec())));
        let shared = Arc::clone(&found);
        let resolver = Resolver::by(move |name| {
            assert_eq!(name, "workers.internal:7000");
            let found = shared.lock().unwrap().clone();
            Box::pin(async { found.ok_or_else(|| io::Error::other("the server is away")) })
        });
        let (clock, time) = Clock::manual(Timestamp(0));
        let peer = Peer::at("dns:///workers.internal:7000".parse().unwrap());
        let network = Network::with(&peer, resolver, clock);
        let client = Client::new(Clock::system(), Transport::Network(network));
        Self { found, client, time }
    }

    fn leads_to(&self, addresses: Option<&[SocketAddr]>) {
        *self.found.lock().unwrap() = addresses.map(<[_]>::to_vec);
    }

    async fn echo(&self) {
        assert_eq!(call(&self.client, Bytes::from_static(b"x"), LIMIT).await.unwrap(), "x");
    }

    /// One of its addresses dies; calls that were on their way there may be lost with it.
    async fn dies(&self, parrot: &Parrot) {
        parrot.stop();
        while parrot.is_connected() {
            tokio::task::yield_now().await;
        }
        for _ in 0..50 {
            let _ = call(&self.client, Bytes::from_static(b"x"), LIMIT).await;
        }
    }

    /// A tick passes, and calls are made.
    async fn tick(&self) {
        self.time.advance(TICK);
        for _ in 0..4 {
            self.echo().await;
        }
    }

    /// How many ticks pass before it is so.
    async fn ticks_until(&self, is_so: impl Fn() -> bool) -> usize {
        let mut ticks = 0;
        while !is_so() {
            self.tick().await;
            ticks += 1;
            assert!(ticks < 1_000, "it never is");
        }
        ticks
    }
}

fn calls(parrot: &Parrot) -> usize {
    parrot.calls.load(Ordering::Relaxed)
}

#[tokio::test]
async fn new_addresses_of_a_name_get_calls_within_the_interval_and_those_that_are_gone_get_none() {
    let (gone, first) = listen().await;
    let (stays, second) = listen().await;
    let (new, third) = listen().await;
    let [gone, stays, new] = [gone, stays, new].map(parrot);
    let name = Name::leading_to(&[first, second]);
    name.ticks_until(|| calls(&gone) > 0 && calls(&stays) > 0).await;

    name.leads_to(Some(&[second, third]));
    let ticks = name.ticks_until(|| calls(&new) > 0).await;
    assert!(ticks <= INTERVAL + 5, "{ticks}");
    let before = [&gone, &stays].map(calls);
    for _ in 0..20 {
        name.echo().await;
    }
    assert_eq!(calls(&gone), before[0]);
    assert!(calls(&stays) > before[1]);
    name.ticks_until(|| !gone.is_connected()).await;

    name.leads_to(None);
    for _ in 0..2 * INTERVAL {
        name.tick().await;
    }
    let before = [&stays, &new].map(calls);
    name.tick().await;
    assert!(calls(&stays) > before[0] && calls(&new) > before[1], "what was found still holds");
}

#[tokio::test]
async fn a_name_is_looked_up_again_soon_after_one_of_its_addresses_died() {
    let (dies, first) = listen().await;
    let (stays, second) = listen().await;
    let (new, third) = listen().await;
    let [dies, stays, new] = [dies, stays, new].map(parrot);
    let name = Name::leading_to(&[first, second]);
    name.ticks_until(|| calls(&dies) > 0 && calls(&stays) > 0).await;

    name.leads_to(Some(&[second, third]));
    name.dies(&dies).await;
    let ticks = name.ticks_until(|| calls(&new) > 0).await;
    assert!(ticks <= MIN_INTERVAL + 5, "{ticks}");
}

#[tokio::test]
async fn an_address_of_a_name_that_dies_is_left_at_once_and_tried_again_later_and_later() {
    let (dies, first) = listen().await;
    let (stays, second) = listen().await;
    let [dies, stays] = [dies, stays].map(parrot);
    let name = Name::leading_to(&[first, second]);
    name.ticks_until(|| calls(&dies) > 0 && calls(&stays) > 0).await;
    name.dies(&dies).await;
    // It refuses after a second, and after two, four and eight more.
    for _ in 0..2 * (1 + 2 + 4 + 8) + 5 {
        name.tick().await;
    }
    let back = parrot(TcpListener::bind(first).await.unwrap());
    let ticks = name.ticks_until(|| calls(&back) > 0).await;
    assert!((10..2 * 16 + 5).contains(&ticks), "{ticks}");
}
