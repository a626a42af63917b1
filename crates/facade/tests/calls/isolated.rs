//! What goes wrong with one stream stays with that stream: the calls beside it on its connection are answered.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use http::{HeaderValue, Response};
use tonic::Code;

use crate::network::{LIMIT, accept, begin, client, headers, listen, parrot};

type Respond = SendResponse<Bytes>;

fn long(length: usize) -> HeaderValue {
    HeaderValue::try_from("x".repeat(length)).unwrap()
}

fn huge_status(respond: &mut Respond) {
    let mut response = Response::new(());
    response.headers_mut().insert("grpc-status", HeaderValue::from_static("13"));
    response.headers_mut().insert("grpc-message", long(1_000_000));
    respond.send_response(response, true).unwrap();
}

fn broken_details(respond: &mut Respond) {
    let status =
        [("grpc-status", "13"), ("grpc-status-details-bin", "!!!"), ("grpc-message", "%FF")];
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_trailers(headers(&status)).unwrap();
}

fn garbled(respond: &mut Respond) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"\xff\xff\xff\xff\xff nothing of gRPC"), true).unwrap();
}

fn no_grpc(respond: &mut Respond) {
    let response = Response::builder().status(502).body(()).unwrap();
    let mut body = respond.send_response(response, false).unwrap();
    body.send_data(Bytes::from(vec![b'<'; 100_000]), true).unwrap();
}

fn reset(respond: &mut Respond) {
    respond.send_reset(Reason::INTERNAL_ERROR);
}

fn cut_off(respond: &mut Respond) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x09abc"), false).unwrap();
    body.send_reset(Reason::CANCEL);
}

#[tokio::test]
async fn whatever_is_wrong_with_an_answer_the_calls_beside_it_are_answered() {
    let wrongs: [fn(&mut Respond); 6] =
        [huge_status, broken_details, garbled, no_grpc, reset, cut_off];
    let (listener, address) = listen().await;
    let client = client(address);
    let beside = begin(&client, b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (_, mut respond_beside) = streams.recv().await.unwrap();
    for (number, wrong) in wrongs.into_iter().enumerate() {
        for _ in 0..3 {
            let call = begin(&client, b"", LIMIT);
            let (_, mut respond) = streams.recv().await.unwrap();
            wrong(&mut respond);
            let told = call.await.unwrap().unwrap_err();
            assert!(!told.message().contains("connection"), "{number}: {told:?}");
        }
    }
    let mut body = respond_beside.send_response(Response::new(()), false).unwrap();
    body.send_trailers(headers(&[("grpc-status", "5")])).unwrap();
    assert_eq!(beside.await.unwrap().unwrap_err().code(), Code::NotFound);
}

/// `h2` counts the streams that it ends for what came on them, and closes a connection that has had too many.
#[tokio::test]
async fn a_connection_stays_however_many_of_its_streams_end_by_errors() {
    let (listener, address) = listen().await;
    let client = client(address);
    let first = begin(&client, b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (_, mut respond) = streams.recv().await.unwrap();
    reset(&mut respond);
    first.await.unwrap().unwrap_err();
    for _ in 0..1_100 {
        let call = begin(&client, b"", LIMIT);
        let (_, mut respond) = streams.recv().await.unwrap();
        let mut response = Response::new(());
        response.headers_mut().insert("content-length", HeaderValue::from_static("1"));
        let mut body = respond.send_response(response, false).unwrap();
        body.send_data(Bytes::from_static(b"more than one"), false).unwrap();
        call.await.unwrap().unwrap_err();
    }
    let other = parrot(listener);
    let last = begin(&client, b"", LIMIT);
    let (_, mut respond) = streams.recv().await.unwrap();
    reset(&mut respond);
    last.await.unwrap().unwrap_err();
    assert_eq!(other.connections.load(Ordering::Relaxed), 0);
}
