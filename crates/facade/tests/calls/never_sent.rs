//! What is certain of a call that failed: that its callee has not processed it, or no more than that it failed.

use std::net::SocketAddr;

use bytes::Bytes;
use facade::{
    Trace,
    caller::{CallError, Client, NotSent, Obstacle, Outgoing, never_indexed},
};
use futures::{future::join_all, poll};
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use tokio::task::JoinHandle;
use tonic::Code;

use crate::{
    messages::buy,
    network::{LIMIT, accept, client, listen},
    peer::Peer,
};

async fn attempt(client: &Client, headers: HeaderMap) -> Result<Bytes, CallError> {
    let call = Outgoing {
        path: PathAndQuery::from_static("/cards.v1.Cards/Buy"),
        request: Bytes::from_static(b"one card"),
        headers,
        trace: &Trace::start(),
        limit: LIMIT,
        descriptor: &buy(),
    };
    let stream = client.stream(&call, LIMIT).await?;
    client.unary(stream, call).await
}

fn begin(client: &Client) -> JoinHandle<Result<Bytes, CallError>> {
    let client = client.clone();
    tokio::spawn(async move { attempt(&client, HeaderMap::new()).await })
}

fn not_sent(told: Result<Bytes, CallError>) -> NotSent {
    match told {
        Err(CallError::NotSent(not_sent)) => not_sent,
        other => panic!("it may have been processed: {other:?}"),
    }
}

async fn may_have_been_processed(call: JoinHandle<Result<Bytes, CallError>>) -> Code {
    match call.await.unwrap() {
        Err(CallError::Status(status)) => status.code(),
        other => panic!("nobody can know that: {other:?}"),
    }
}

/// A connection on which one call is under way.
async fn under_way() -> (Client, Peer, JoinHandle<Result<Bytes, CallError>>, SocketAddr) {
    let (listener, address) = listen().await;
    let client = client(address);
    let call = begin(&client);
    let mut peer = Peer::allowing(&listener, 1_000).await;
    peer.call().await;
    (client, peer, call, address)
}

#[tokio::test]
async fn a_call_whose_connection_is_refused_was_not_sent_and_says_where_it_was_to_go() {
    let (listener, address) = listen().await;
    drop(listener);
    let told = not_sent(attempt(&client(address), HeaderMap::new()).await);
    assert_eq!(told.obstacle, Obstacle::NoConnection);
    assert!(told.message.starts_with(&format!("{address}: Connection refused")), "{told}");
}

#[tokio::test]
async fn a_stream_that_the_peer_refuses_was_not_processed_and_one_that_it_resets_may_have_been() {
    for (reason, code) in [
        (h2::Reason::REFUSED_STREAM, None),
        (h2::Reason::CANCEL, Some(Code::Cancelled)),
        (h2::Reason::INTERNAL_ERROR, Some(Code::Internal)),
        (h2::Reason::ENHANCE_YOUR_CALM, Some(Code::ResourceExhausted)),
    ] {
        let (listener, address) = listen().await;
        let call = begin(&client(address));
        let (mut streams, _serving) = accept(&listener).await;
        let (_request, mut respond) = streams.recv().await.unwrap();
        respond.send_reset(reason);
        match code {
            None => assert_eq!(not_sent(call.await.unwrap()).obstacle, Obstacle::Refused),
            Some(code) => assert_eq!(may_have_been_processed(call).await, code),
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_when_its_answer_has_begun_may_have_been_processed() {
    let (_client, mut peer, call, _) = under_way().await;
    peer.begin_answer(1).await;
    peer.reset(1, h2::Reason::REFUSED_STREAM).await;
    assert_eq!(may_have_been_processed(call).await, Code::Unavailable);
}

#[tokio::test]
async fn a_goaway_tells_which_calls_were_not_processed_and_the_others_go_on() {
    let (client, mut peer, first, _) = under_way().await;
    let second = begin(&client);
    let last = peer.call().await;
    peer.go_away(1).await;
    assert_eq!(not_sent(second.await.unwrap()).obstacle, Obstacle::Refused);
    assert_eq!(last.stream, 3);
    peer.round_trip().await;
    assert!(!first.is_finished());
    drop(peer);
    assert_eq!(may_have_been_processed(first).await, Code::Unavailable);
}

#[tokio::test]
async fn a_call_whose_connection_ends_behind_it_may_have_been_processed() {
    let (_client, peer, call, _) = under_way().await;
    drop(peer);
    assert_eq!(may_have_been_processed(call).await, Code::Unavailable);
}

#[tokio::test]
async fn a_call_whose_connection_ended_before_it_was_written_was_not_sent() {
    let (client, mut peer, first, address) = under_way().await;
    let trace = Trace::start();
    let buy = buy();
    let call = Outgoing {
        path: PathAndQuery::from_static("/cards.v1.Cards/Buy"),
        request: Bytes::new(),
        headers: HeaderMap::new(),
        trace: &trace,
        limit: LIMIT,
        descriptor: &buy,
    };
    let stream = client.stream(&call, LIMIT).await.unwrap();
    peer.go_away(1).await;
    drop(peer);
    // By its end the client knows that the connection is gone.
    may_have_been_processed(first).await;
    let told = not_sent(client.unary(stream, call).await);
    assert_eq!(told.obstacle, Obstacle::NotWritten, "{told} {address}");
}

#[tokio::test]
async fn a_call_that_was_in_line_for_the_socket_when_the_connection_ended_was_not_sent() {
    let (listener, address) = listen().await;
    let client = client(address);
    let opening = begin(&client);
    let mut peer = Peer::allowing(&listener, 1_000).await;
    peer.call().await;
    // More than the sockets take, as the peer reads nothing from now on.
    let mut headers = HeaderMap::new();
    let long = never_indexed(HeaderValue::try_from("~".repeat(60_000)).unwrap());
    headers.insert("long", long);
    let mut calls: Vec<_> = (0..400).map(|_| Box::pin(attempt(&client, headers.clone()))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
        tokio::task::yield_now().await;
    }
    drop(peer);
    assert_eq!(may_have_been_processed(opening).await, Code::Unavailable);
    let told = join_all(calls).await;
    let [Err(CallError::Status(_)), .., Err(CallError::NotSent(last))] = &told[..] else {
        panic!("{:?} {:?}", told.first(), told.last())
    };
    assert_eq!(last.obstacle, Obstacle::NotWritten);
}
