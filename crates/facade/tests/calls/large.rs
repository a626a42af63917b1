//! Answers that are larger than is taken of them, or never end: no more of them is in memory than has arrived, and they are
//! told from every other failure.

use std::{num::NonZero, time::Duration};

use bytes::Bytes;
use clock::Clock;
use facade::{caller::Defect, dial::Peer};
use h2::{SendStream, server::SendResponse};
use http::{HeaderValue, Response};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Code, Status};

use crate::{
    network::{LIMIT, accept, at, begin, call, client, headers, listen, to_peer},
    peer,
};

const MIB: usize = 1 << 20;

/// Held by whoever receives large responses: the process has so much room for them.
pub(crate) static ROOM: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A message of `length` bytes as it is announced, with the first `sent` of them.
fn message(length: usize, sent: usize) -> Bytes {
    let mut message = vec![0];
    message.extend(u32::try_from(length).unwrap().to_be_bytes());
    message.resize(5 + sent, 7);
    message.into()
}

fn is_too_large(status: &Status) -> bool {
    Defect::of(status) == Some(Defect::TooLarge)
}

struct Answering {
    under_way: JoinHandle<Result<Bytes, Status>>,
    respond: SendResponse<Bytes>,
    _serving: JoinHandle<()>,
}

/// A call that the test answers.
async fn answering(limit: Duration) -> Answering {
    let (listener, address) = listen().await;
    let under_way = begin(&client(address), b"", limit);
    let (mut streams, serving) = accept(&listener).await;
    let (_request, respond) = streams.recv().await.unwrap();
    Answering { under_way, respond, _serving: serving }
}

fn begun(respond: &mut SendResponse<Bytes>) -> SendStream<Bytes> {
    respond.send_response(Response::new(()), false).unwrap()
}

/// The peer's side of a call that its caller has given up.
async fn is_cancelled(mut body: SendStream<Bytes>) {
    let reset = std::future::poll_fn(|context| body.poll_reset(context)).await.unwrap();
    assert_eq!(reset, h2::Reason::CANCEL);
}

#[tokio::test]
async fn a_response_that_announces_more_than_is_taken_is_given_up_at_once() {
    for announced in [4 * MIB + 1, 200 * MIB, u32::MAX as usize] {
        let mut call = answering(LIMIT).await;
        let mut body = begun(&mut call.respond);
        body.send_data(message(announced, 1), false).unwrap();
        let told = call.under_way.await.unwrap().unwrap_err();
        assert!(is_too_large(&told), "{told:?}");
        let expected = format!(
            "the response of /cards.v1.Cards/Buy has {announced} bytes, and 4194304 are taken \
             (participants.cards.v1.Cards.max_response)"
        );
        assert_eq!(told.message(), expected);
        is_cancelled(body).await;
    }
}

#[tokio::test]
async fn a_response_that_goes_on_behind_its_end_is_given_up_without_waiting_for_more() {
    let mut call = answering(LIMIT).await;
    let mut body = begun(&mut call.respond);
    body.send_data(message(3, 4), false).unwrap();
    let told = call.under_way.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::Internal, "{told:?}");
    assert!(told.message().contains("3 bytes are announced, 4 came"), "{told:?}");
    assert!(!is_too_large(&told));
    is_cancelled(body).await;
}

#[tokio::test]
async fn a_response_that_drips_for_ever_is_ended_by_the_time_limit() {
    let mut call = answering(Duration::from_millis(200)).await;
    let mut body = begun(&mut call.respond);
    body.send_data(message(MIB, 0), false).unwrap();
    while !call.under_way.is_finished() {
        let _ = body.send_data(Bytes::from_static(b"x"), false);
        tokio::task::yield_now().await;
    }
    let told = call.under_way.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told:?}");
}

/// Answers each call with a message of the length that the test says, as fast as it is read.
async fn generous(listener: TcpListener, length: usize) {
    let (mut streams, _serving) = accept(&listener).await;
    while let Some((_, mut respond)) = streams.recv().await {
        let mut body = begun(&mut respond);
        body.send_data(message(length, length), false).unwrap();
        body.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
    }
}

#[tokio::test]
async fn as_much_is_taken_as_is_set_and_not_a_byte_more() {
    let _room = ROOM.lock().await;
    for (length, passes) in [(MIB, true), (MIB + 1, false)] {
        let (listener, address) = listen().await;
        tokio::spawn(generous(listener, length));
        let peer = Peer { max_response: NonZero::new(MIB).unwrap(), ..at(address) };
        let answer = call(&to_peer(Clock::system(), &peer), Bytes::new(), LIMIT).await;
        match answer {
            Ok(response) => assert!(passes && response.len() == length),
            Err(told) => assert!(!passes && is_too_large(&told), "{told:?}"),
        }
    }
}

/// Each sends all but its last byte. What is given up makes room for what comes then.
#[tokio::test]
async fn there_is_so_much_room_for_responses_under_way_and_nobody_waits_for_it() {
    let _room = ROOM.lock().await;
    let mut under_way = Vec::new();
    let refused = loop {
        let mut call = answering(LIMIT).await;
        let mut body = begun(&mut call.respond);
        body.send_data(message(4 * MIB, 4 * MIB - 1), false).unwrap();
        body.reserve_capacity(1);
        tokio::select! {
            told = &mut call.under_way => break told.unwrap().unwrap_err(),
            () = read_whole(&mut body) => under_way.push((call, body)),
        }
        assert!(under_way.len() <= 17, "there is no limit");
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("67108864 bytes of other responses"), "{refused:?}");
    assert!(under_way.len() >= 12, "{}", under_way.len());

    for (call, mut body) in under_way {
        body.send_data(Bytes::from_static(b"x"), false).unwrap();
        body.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
        assert_eq!(call.under_way.await.unwrap().unwrap().len(), 4 * MIB);
    }
    let (listener, address) = listen().await;
    tokio::spawn(generous(listener, 4 * MIB));
    assert!(call(&client(address), Bytes::new(), LIMIT).await.is_ok());
}

/// Until the caller has taken all that was sent: only then it gives leave to send more than the connection's window.
async fn read_whole(body: &mut SendStream<Bytes>) {
    while body.capacity() == 0 {
        if std::future::poll_fn(|context| body.poll_capacity(context)).await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn long(length: usize) -> HeaderValue {
    HeaderValue::try_from("x".repeat(length)).unwrap()
}

#[tokio::test]
async fn an_answer_with_long_headers_is_read_and_one_with_endless_ones_is_told_as_too_large() {
    let (listener, address) = listen().await;
    let client = client(address);
    let beside = begin(&client, b"beside", LIMIT);
    let mut peer = peer::Peer::allowing(&listener, 100).await;
    let arrived_beside = peer.call().await;
    for (headers, passes) in [(350, true), (6_000, false), (1, true)] {
        let call = begin(&client, b"x", LIMIT);
        let arrived = peer.call().await;
        peer.answer_with_headers(arrived, headers).await;
        match call.await.unwrap() {
            Ok(response) => assert!(passes && response == "x", "{headers}"),
            Err(told) => {
                assert!(!passes && is_too_large(&told), "{told:?}");
                assert!(told.message().contains("more than 16777216 bytes"), "{told:?}");
            }
        }
    }
    peer.answer(arrived_beside).await;
    assert_eq!(beside.await.unwrap().unwrap(), "beside");
}

#[tokio::test]
async fn a_status_keeps_its_code_however_long_its_message_and_details_are() {
    for (message, details) in [(20_000, 60_000), (MIB, MIB)] {
        let mut call = answering(LIMIT).await;
        let mut trailers = headers(&[("grpc-status", "9")]);
        for (name, length) in [("grpc-message", message), ("grpc-status-details-bin", details)] {
            trailers.insert(name, long(length));
        }
        begun(&mut call.respond).send_trailers(trailers).unwrap();
        let told = call.under_way.await.unwrap().unwrap_err();
        assert_eq!(told.code(), Code::FailedPrecondition, "{:.200}", told.to_string());
        assert!(told.message().len() + told.details().len() <= 64 << 10);
    }
}
