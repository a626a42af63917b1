//! How many calls go out at once: as many as the peer allows, and the others wait without losing of their own time.

use std::{net::SocketAddr, num::NonZero, task::Poll, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use facade::{
    Trace,
    caller::{Obstacle, Outgoing},
    dial,
};
use futures::{FutureExt, future::join_all, poll};
use http::{HeaderMap, uri::PathAndQuery};
use prost_reflect::MethodDescriptor;
use tonic::Code;

use crate::{
    messages::buy,
    network::{LIMIT, at, begin, call, client, listen, timed, to_peer},
    peer::Peer,
};

const SECOND: Duration = Duration::from_secs(1);

fn outgoing<'a>(trace: &'a Trace, buy: &'a MethodDescriptor) -> Outgoing<'a> {
    Outgoing {
        path: PathAndQuery::from_static("/cards.v1.Cards/Buy"),
        request: Bytes::new(),
        headers: HeaderMap::new(),
        trace,
        limit: LIMIT,
        descriptor: buy,
    }
}

#[tokio::test]
async fn many_calls_to_a_peer_with_few_streams_have_their_whole_time_each() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let calls: Vec<_> = (0..64).map(|_| begin(&client, b"", SECOND * 3 / 2)).collect();
    let mut peers = [
        Peer::allowing(&listener, 2).await,
        Peer::allowing(&listener, 2).await,
        Peer::allowing(&listener, 2).await,
        Peer::allowing(&listener, 2).await,
    ];
    for _ in 0..8 {
        let mut arrived = Vec::new();
        for peer in &mut peers {
            arrived.push((peer.call().await, peer.call().await));
            peer.round_trip().await;
        }
        time.advance(SECOND);
        for (peer, (one, other)) in peers.iter_mut().zip(arrived) {
            peer.answer(one).await;
            peer.answer(other).await;
        }
    }
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
    assert_eq!(peers.map(|peer| peer.most), [2; 4], "calls at once on each connection");
    assert!(listener.accept().now_or_never().is_none(), "a fifth connection");
}

#[tokio::test]
async fn no_call_is_sent_before_the_peer_has_said_how_many_it_takes() {
    let (listener, address) = listen().await;
    let client = client(address);
    let calls: Vec<_> = (0..200).map(|_| begin(&client, b"", LIMIT)).collect();
    let mut peer = Peer::accept(&listener).await;
    peer.allow(3).await;
    assert_eq!(peer.most, 0, "streams before the acknowledgement of SETTINGS");
    for _ in 0..200 {
        let arrived = peer.call().await;
        peer.answer(arrived).await;
    }
    assert_eq!(peer.most, 3);
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
}

#[tokio::test]
async fn calls_go_out_in_the_order_in_which_they_came_and_one_given_up_leaves_its_turn() {
    let (listener, address) = listen().await;
    let client = client(address);
    let messages: [&[u8]; 6] = [b"a", b"b", b"c", b"d", b"e", b"f"];
    let calls: Vec<_> = messages.iter().map(|message| begin(&client, message, LIMIT)).collect();
    let mut peer = Peer::allowing(&listener, 1).await;
    let first = peer.call().await;
    assert_eq!(first.message, b"a");
    calls[1].abort();
    calls[3].abort();
    peer.answer(first).await;
    let late = begin(&client, b"late", LIMIT);
    for expected in [&b"c"[..], b"e", b"f", b"late"] {
        let arrived = peer.call().await;
        assert_eq!(arrived.message, expected);
        peer.answer(arrived).await;
    }
    assert_eq!(late.await.unwrap().unwrap(), "late");
    assert_eq!(peer.most, 1);
}

#[tokio::test]
async fn a_stream_that_came_to_somebody_who_went_away_goes_to_the_next() {
    let (listener, address) = listen().await;
    let client = client(address);
    let (trace, buy) = (Trace::start(), buy());
    let call = outgoing(&trace, &buy);
    let (taken, _peer) = tokio::join!(client.stream(&call, LIMIT), Peer::allowing(&listener, 1));
    let mut next = Box::pin(client.stream(&call, LIMIT));
    let mut one_more = Box::pin(client.stream(&call, LIMIT));
    assert!(poll!(&mut next).is_pending() && poll!(&mut one_more).is_pending());
    drop(taken.unwrap());
    drop(next);
    assert!(matches!(poll!(&mut one_more), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn a_limit_that_changes_holds_from_then_on_and_costs_no_call_its_time() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let calls: Vec<_> = (0..9).map(|_| begin(&client, b"", SECOND)).collect();
    let mut peer = Peer::allowing(&listener, 1).await;
    let mut under_way = vec![peer.call().await];
    peer.allow(4).await;
    for _ in 0..3 {
        under_way.push(peer.call().await);
    }
    peer.round_trip().await;
    assert_eq!((peer.arrived(), peer.most), (0, 4), "4 are allowed");

    peer.allow(1).await;
    for arrived in under_way.drain(1..) {
        peer.answer(arrived).await;
        peer.round_trip().await;
        assert_eq!(peer.arrived(), 0, "1 is allowed, and under way");
    }
    peer.most = 0;
    let mut arrived = under_way.remove(0);
    for _ in 0..5 {
        time.advance(SECOND * 2 / 3);
        peer.answer(arrived).await;
        arrived = peer.call().await;
    }
    peer.answer(arrived).await;
    assert_eq!(peer.most, 1);
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
}

#[tokio::test]
async fn where_no_stream_becomes_free_the_caller_learns_the_limit_and_no_call_was_made() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let held = begin(&client, b"held", LIMIT);
    let mut peer = Peer::allowing(&listener, 1).await;
    let under_way = peer.call().await;
    let (trace, buy) = (Trace::start(), buy());
    let call = outgoing(&trace, &buy);
    let mut waiting = Box::pin(client.stream(&call, SECOND));
    assert!(poll!(&mut waiting).is_pending());
    time.advance(SECOND);
    let told = waiting.await.unwrap_err();
    assert_eq!(told.obstacle, Obstacle::NoStream);
    let limit = format!("no stream was free within 1000 ms: {address} takes 1 at once");
    assert!(told.message.starts_with(&limit), "{told}");
    peer.round_trip().await;
    assert_eq!(peer.arrived(), 0);
    peer.answer(under_way).await;
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn where_the_peer_takes_no_second_connection_the_first_one_must_do() {
    let (listener, address) = listen().await;
    let client = client(address);
    let calls: Vec<_> = (0..5).map(|_| begin(&client, b"", LIMIT)).collect();
    let mut peer = Peer::accept(&listener).await;
    drop(listener);
    peer.allow(1).await;
    for _ in 0..5 {
        let arrived = peer.call().await;
        peer.answer(arrived).await;
    }
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_closes_each_connection_unused_is_connected_to_once_for_each_call() {
    let (listener, address) = listen().await;
    let client = client(address);
    for _ in 0..5 {
        let told = begin(&client, b"", LIMIT);
        let mut peer = Peer::allowing(&listener, 0).await;
        peer.round_trip().await;
        assert!(listener.accept().now_or_never().is_none(), "a second connection");
        drop(peer);
        let told = told.await.unwrap().unwrap_err();
        assert_eq!(told.code(), Code::Unavailable, "{told:?}");
        assert!(told.message().contains("closed before it took a call"), "{told:?}");
    }
}

#[tokio::test]
async fn a_peer_that_is_about_to_go_away_ends_the_calls_that_it_has_and_gets_no_other() {
    let (listener, address) = listen().await;
    let client = client(address);
    let first = begin(&client, b"first", LIMIT);
    let mut old = Peer::allowing(&listener, 100).await;
    let under_way = old.call().await;
    old.go_away(under_way.stream).await;
    old.round_trip().await;
    let next = begin(&client, b"next", LIMIT);
    let mut new = Peer::allowing(&listener, 100).await;
    let arrived = new.call().await;
    new.answer(arrived).await;
    assert_eq!(next.await.unwrap().unwrap(), "next");
    old.answer(under_way).await;
    assert_eq!(first.await.unwrap().unwrap(), "first");
}

/// An address that takes no connection and refuses none: its backlog is full.
fn full() -> (socket2::Socket, SocketAddr, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting = std::net::TcpStream::connect(address).unwrap();
    (socket, address, vec![waiting])
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_made_in_time_is_told_as_such() {
    let (_socket, address, _waiting) = full();
    let told = call(&client(address), Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    assert_eq!(told.message(), format!("{address}: no connection within 2s"));
    let hasty = call(&client(address), Bytes::new(), SECOND).await.unwrap_err();
    assert_eq!(hasty.code(), Code::Unavailable, "{hasty:?}");
    assert_eq!(hasty.message(), format!("{address}: no connection within 1000 ms"));
}

#[tokio::test]
async fn a_peer_without_a_limit_is_sent_no_more_calls_at_once_than_its_caller_is_set_to() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = to_peer(clock, &dial::Peer { max_calls: NonZero::new(3), ..at(address) });
    let calls: Vec<_> = (0..9).map(|_| begin(&client, b"", SECOND * 3 / 2)).collect();
    let mut peer = Peer::allowing(&listener, 1_000).await;
    for _ in 0..3 {
        let arrived = [peer.call().await, peer.call().await, peer.call().await];
        peer.round_trip().await;
        assert_eq!(peer.arrived(), 0, "three at once");
        time.advance(SECOND);
        for call in arrived {
            peer.answer(call).await;
        }
    }
    for answer in join_all(calls).await {
        answer.unwrap().unwrap();
    }
    assert_eq!(peer.most, 3);
}

#[tokio::test]
async fn who_waits_in_vain_for_a_call_that_its_own_setting_forbids_is_told_the_setting() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = to_peer(clock, &dial::Peer { max_calls: NonZero::new(1), ..at(address) });
    let first = begin(&client, b"first", LIMIT);
    let mut peer = Peer::allowing(&listener, 1_000).await;
    let arrived = peer.call().await;
    let (trace, buy) = (Trace::start(), buy());
    let second = outgoing(&trace, &buy);
    let second = Outgoing { limit: SECOND, ..second };
    let (told, ()) = tokio::join!(client.stream(&second, SECOND), time.advance_to_next());
    let told = told.unwrap_err();
    assert_eq!(told.obstacle, Obstacle::OwnLimit);
    assert!(told.message.contains("is sent 1 at once (max_calls)"), "{told}");
    peer.answer(arrived).await;
    first.await.unwrap().unwrap();
}
