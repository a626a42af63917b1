//! Peers that acknowledge everything and answer nothing, and peers that are only slow.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use clock::{Clock, ManualTime, Timestamp};
use facade::caller::Client;
use futures::FutureExt;
use tokio::net::TcpListener;
use tonic::Code;

use crate::{
    network::{LIMIT, Parrot, begin, call, client, listen, parrot, timed},
    peer::{Arrived, Peer},
};

const SECOND: Duration = Duration::from_secs(1);

/// A call that `peer` gets, and does not answer in time.
async fn unanswered(client: &Client, peer: &mut Peer, time: &ManualTime) -> Arrived {
    let late = begin(client, b"late", SECOND);
    let arrived = peer.call().await;
    time.advance(SECOND);
    let told = late.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told:?}");
    assert_eq!(told.message(), "no answer within 1000 ms");
    arrived
}

#[tokio::test]
async fn after_three_time_outs_in_a_row_the_next_call_goes_over_a_new_connection() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let patient = begin(&client, b"patient", LIMIT);
    let mut silent = Peer::allowing(&listener, 100).await;
    let waiting = silent.call().await;
    for _ in 0..3 {
        unanswered(&client, &mut silent, &time).await;
    }

    let Parrot { connections, .. } = parrot(listener);
    for _ in 0..5 {
        assert_eq!(call(&client, Bytes::from_static(b"well"), LIMIT).await.unwrap(), "well");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1, "new connections");
    silent.answer(waiting).await;
    assert_eq!(patient.await.unwrap().unwrap(), "patient", "a call ends by its own limit");
}

#[tokio::test]
async fn a_call_that_waits_for_a_stream_when_its_connection_is_given_up_gets_one_of_a_new_connection()
 {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let late: Vec<_> = (0..3).map(|_| begin(&client, b"late", SECOND)).collect();
    let mut silent = Peer::allowing(&listener, 3).await;
    for _ in 0..3 {
        silent.call().await;
    }
    // Two get the streams of the first two time-outs: the connection is retired with the third.
    let _caught: Vec<_> = (0..2).map(|_| begin(&client, b"caught", LIMIT)).collect();
    let waiting = begin(&client, b"waiting", LIMIT);
    let mut new = Peer::accept(&listener).await;
    time.advance(SECOND);
    for late in late {
        assert_eq!(late.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    }
    new.allow(3).await;
    let arrived = new.call().await;
    assert_eq!(arrived.message, b"waiting");
    new.answer(arrived).await;
    assert_eq!(waiting.await.unwrap().unwrap(), "waiting");
}

/// Whether nobody has connected.
fn is_untouched(listener: &TcpListener) -> bool {
    listener.accept().now_or_never().is_none()
}

#[tokio::test]
async fn a_peer_that_answers_some_calls_keeps_its_connection() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let first = begin(&client, b"first", LIMIT);
    let mut slow = Peer::allowing(&listener, 100).await;
    let arrived = slow.call().await;
    slow.answer(arrived).await;
    first.await.unwrap().unwrap();
    for _ in 0..4 {
        for _ in 0..2 {
            unanswered(&client, &mut slow, &time).await;
        }
        let answered = begin(&client, b"answered", LIMIT);
        let arrived = slow.call().await;
        slow.answer(arrived).await;
        assert_eq!(answered.await.unwrap().unwrap(), "answered");
    }
    assert!(is_untouched(&listener));
}

#[tokio::test]
async fn the_head_of_an_answer_is_a_sign_of_life() {
    let (listener, address) = listen().await;
    let (clock, time) = Clock::manual(Timestamp(0));
    let client = timed(clock, address);
    let half = begin(&client, b"half", LIMIT);
    let mut slow = Peer::allowing(&listener, 100).await;
    let arrived = slow.call().await;
    for _ in 0..2 {
        unanswered(&client, &mut slow, &time).await;
    }
    slow.begin_answer(arrived.stream).await;
    slow.round_trip().await;
    for _ in 0..2 {
        unanswered(&client, &mut slow, &time).await;
    }
    assert!(is_untouched(&listener));
    half.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_connection_and_never_speaks_is_left_for_a_new_one() {
    let (listener, address) = listen().await;
    let client = client(address);
    let hasty = call(&client, Bytes::new(), SECOND).await.unwrap_err();
    assert_eq!(hasty.code(), Code::Unavailable, "{hasty:?}");
    let told = call(&client, Bytes::new(), LIMIT).await.unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    let address = listener.local_addr().unwrap();
    assert_eq!(told.message(), format!("{address}: no SETTINGS came within 5s"));
    tokio::time::resume();
    parrot(listener);
    assert_eq!(call(&client, Bytes::from_static(b"well"), LIMIT).await.unwrap(), "well");
}
