//! Peers with several endpoints: calls are spread over those that are well, and the others are tried again.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use clock::Clock;
use facade::{
    caller::Client,
    dial::{Address, Peer},
};
use futures::future::join_all;
use tokio::net::{TcpListener, UnixListener};
use tonic::Code;

use crate::{
    network::{LIMIT, begin, call, listen, parrot, parrot_on, to_peer},
    peer,
};

/// The way to all of these.
fn to(addresses: &[SocketAddr]) -> Client {
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    to_address(list.join(",").parse().unwrap())
}

fn to_address(address: Address) -> Client {
    to_peer(Clock::system(), &Peer::at(address))
}

async fn echo(client: &Client) {
    assert_eq!(call(client, Bytes::from_static(b"x"), LIMIT).await.unwrap(), "x");
}

/// An address that refuses every connection.
async fn dead() -> SocketAddr {
    listen().await.1
}

#[tokio::test]
async fn calls_are_spread_over_all_endpoints_and_each_new_one_goes_where_fewest_are_under_way() {
    let (one, first) = listen().await;
    let (other, second) = listen().await;
    let client = to(&[first, second]);
    let opening = begin(&client, b"opening", LIMIT);
    let (mut one, mut other) =
        tokio::join!(peer::Peer::allowing(&one, 100), peer::Peer::allowing(&other, 100));
    one.round_trip().await;
    other.round_trip().await;
    let calls: Vec<_> = (0..9).map(|_| begin(&client, b"", LIMIT)).collect();
    for peer in [&mut one, &mut other] {
        let mut arrived = Vec::new();
        for _ in 0..5 {
            arrived.push(peer.call().await);
        }
        peer.round_trip().await;
        assert_eq!(peer.arrived(), 0);
        for call in arrived {
            peer.answer(call).await;
        }
    }
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_that_come_one_after_the_other_go_to_all_endpoints_in_turn() {
    let (one, first) = listen().await;
    let (other, second) = listen().await;
    let (one, other) = (parrot(one), parrot(other));
    let client = to(&[first, second]);
    let is_open =
        || one.calls.load(Ordering::Relaxed) > 0 && other.calls.load(Ordering::Relaxed) > 0;
    while !is_open() {
        echo(&client).await;
    }
    let before = [&one, &other].map(|peer| peer.calls.load(Ordering::Relaxed));
    for _ in 0..20 {
        echo(&client).await;
    }
    let after = [&one, &other].map(|peer| peer.calls.load(Ordering::Relaxed));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [10, 10]);
}

#[tokio::test]
async fn a_dead_endpoint_costs_no_call_anything() {
    let (well, address) = listen().await;
    let dead = [dead().await, dead().await];
    parrot(well);
    let client = to(&[dead[0], address, dead[1]]);
    for _ in 0..50 {
        echo(&client).await;
    }
}

#[tokio::test]
async fn where_every_endpoint_is_dead_the_caller_learns_why_for_each() {
    let addresses = [dead().await, dead().await];
    let told = call(&to(&addresses), Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    for address in addresses {
        let why = format!("{address}: Connection refused");
        assert!(told.message().contains(&why), "{told:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_dies_is_left_at_once_and_used_again_when_it_is_back() {
    let (one, first) = listen().await;
    let (other, second) = listen().await;
    let one = parrot(one);
    parrot(other);
    let client = to(&[first, second]);
    while one.calls.load(Ordering::Relaxed) == 0 {
        echo(&client).await;
    }
    one.stop();
    while one.is_connected() {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        // One that was on its way when the connection closed may have been lost with it.
        let _ = call(&client, Bytes::from_static(b"x"), LIMIT).await;
    }
    for _ in 0..50 {
        echo(&client).await;
    }
    let back = parrot(TcpListener::bind(first).await.unwrap());
    while back.calls.load(Ordering::Relaxed) == 0 {
        echo(&client).await;
    }
}

#[tokio::test]
async fn one_that_hangs_gets_no_call_when_it_has_not_answered_a_ping_and_is_tried_again_later() {
    let (hung, first) = listen().await;
    let (well, second) = listen().await;
    let client = to(&[first, second]);
    let opening = begin(&client, b"opening", LIMIT);
    let mut silent = peer::Peer::allowing(&hung, 100).await;
    assert_eq!(silent.call().await.message, b"opening");
    silent.is_hung = true;
    let well = parrot(well);
    silent.ping().await;

    for _ in 0..100 {
        echo(&client).await;
    }
    let mut again = peer::Peer::allowing(&hung, 100).await;
    assert!(!opening.is_finished(), "a call ends by its own limit");
    loop {
        tokio::select! {
            () = echo(&client) => {}
            arrived = again.call() => {
                again.answer(arrived).await;
                break;
            }
        }
    }
    assert!(well.calls.load(Ordering::Relaxed) >= 100);
}

#[tokio::test]
async fn one_that_hung_is_tried_with_a_single_call_until_that_is_answered() {
    let (hung, first) = listen().await;
    let (well, second) = listen().await;
    let client = to(&[first, second]);
    let mut calls = vec![begin(&client, b"opening", LIMIT)];
    let mut silent = peer::Peer::allowing(&hung, 100).await;
    silent.is_hung = true;
    silent.call().await;
    let mut well = peer::Peer::allowing(&well, 100).await;
    silent.ping().await;

    let mut again = peer::Peer::allowing(&hung, 100).await;
    calls.extend((0..20).map(|_| begin(&client, b"later", LIMIT)));
    let tried = again.call().await;
    let mut arrived = Vec::new();
    while arrived.len() < 19 {
        arrived.push(well.call().await);
    }
    again.round_trip().await;
    assert_eq!(again.arrived(), 0, "calls beside the one that tries it");
    again.answer(tried).await;
    again.round_trip().await;
    calls.extend((0..10).map(|_| begin(&client, b"spread", LIMIT)));
    for _ in 0..10 {
        again.call().await;
    }
    well.round_trip().await;
    assert_eq!(well.arrived(), 0);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_name_leads_to_all_its_addresses() {
    let Ok(six) = TcpListener::bind("[::1]:0").await else { return };
    let address = six.local_addr().unwrap();
    let Ok(four) = TcpListener::bind(("127.0.0.1", address.port())).await else { return };
    let (six, four) = (parrot(six), parrot(four));
    let found = tokio::net::lookup_host(("localhost", address.port())).await.unwrap();
    let both = found.into_iter().filter(SocketAddr::is_ipv6).count() > 0;
    let client = to_address(format!("dns:///localhost:{}", address.port()).parse().unwrap());
    while four.calls.load(Ordering::Relaxed) == 0
        || (both && six.calls.load(Ordering::Relaxed) == 0)
    {
        echo(&client).await;
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_as_that() {
    let client = to_address("no-such-host.invalid:1".parse().unwrap());
    let told = call(&client, Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    assert!(told.message().contains("no-such-host.invalid:1 cannot be looked up"), "{told:?}");
}

#[tokio::test]
async fn a_peer_may_listen_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peer");
    let address: Address = format!("unix:{}", path.display()).parse().unwrap();
    let client = to_address(address);
    let told = call(&client, Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");

    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        parrot_on(socket).await;
    });
    echo(&client).await;
}

#[tokio::test]
async fn a_single_peer_that_hangs_is_left_for_a_new_connection_before_its_calls_time_out() {
    let (listener, address) = listen().await;
    let client = to(&[address]);
    let waiting = begin(&client, b"waiting", LIMIT);
    let mut silent = peer::Peer::allowing(&listener, 100).await;
    silent.is_hung = true;
    assert_eq!(silent.call().await.message, b"waiting");
    silent.ping().await;
    let clock = Clock::system();
    let (mut new, later) = loop {
        let later = begin(&client, b"later", LIMIT);
        tokio::select! {
            new = peer::Peer::accept(&listener) => break (new, later),
            () = clock.sleep(Duration::from_millis(50)) => {}
        }
    };
    new.allow(100).await;
    let arrived = new.call().await;
    new.answer(arrived).await;
    assert_eq!(later.await.unwrap().unwrap(), "later");
    assert!(!waiting.is_finished(), "a call ends by its own limit");
}

#[tokio::test]
async fn a_peer_that_is_slow_and_answers_its_ping_keeps_its_connection() {
    let (listener, address) = listen().await;
    let client = to(&[address]);
    let slow = begin(&client, b"slow", LIMIT);
    let mut peer = peer::Peer::allowing(&listener, 100).await;
    let arrived = peer.call().await;
    peer.ping().await;
    // Longer than a hung one is given.
    Clock::system().timeout(Duration::from_secs(2), peer.ping()).await.unwrap_err();
    let next = begin(&client, b"next", LIMIT);
    for arrived in [arrived, peer.call().await] {
        peer.answer(arrived).await;
    }
    assert_eq!(slow.await.unwrap().unwrap(), "slow");
    assert_eq!(next.await.unwrap().unwrap(), "next");
}
