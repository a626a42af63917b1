//! Calls over the network: one connection, made when it is needed and made again when it broke.

use std::{
    net::SocketAddr,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use facade::{
    Call, Facade, Failure, Reply, Trace,
    caller::{Client, Network, Outgoing, Transport},
    config::Connections,
    dial::Peer,
    dynamic::Handler,
    log::Calls,
    process::Process,
    readiness::Readiness,
    server::Server,
};
use futures::future::{BoxFuture, join_all};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinHandle, JoinSet},
};
use tonic::{Code, Status};

use crate::messages::buy;

pub(crate) const LIMIT: Duration = Duration::from_mins(10);

pub(crate) fn client(address: SocketAddr) -> Client {
    timed(Clock::system(), address)
}

pub(crate) fn timed(clock: Clock, address: SocketAddr) -> Client {
    to_peer(clock, &at(address))
}

/// What is called at this address, as much as it allows.
pub(crate) fn at(address: SocketAddr) -> Peer {
    Peer::at(address.to_string().parse().unwrap())
}

pub(crate) fn to_peer(clock: Clock, peer: &Peer) -> Client {
    Client::new(clock, Transport::Network(Network::to(peer)))
}

pub(crate) async fn call(
    client: &Client,
    request: Bytes,
    limit: Duration,
) -> Result<Bytes, Status> {
    let call = Outgoing {
        path: PathAndQuery::from_static("/cards.v1.Cards/Buy"),
        request,
        headers: HeaderMap::new(),
        trace: &Trace::start(),
        limit,
        descriptor: &buy(),
    };
    let stream = client.stream(&call, LIMIT).await?;
    Ok(client.unary(stream, call).await?)
}

/// Begins a call that the test goes on beside.
pub(crate) fn begin(
    client: &Client,
    request: &'static [u8],
    limit: Duration,
) -> JoinHandle<Result<Bytes, Status>> {
    let client = client.clone();
    tokio::spawn(async move { call(&client, Bytes::from_static(request), limit).await })
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A stream that a peer was sent: the request, and the way to answer it.
pub(crate) type Stream = (http::Request<h2::RecvStream>, SendResponse<Bytes>);

/// Takes one connection; what is sent on it comes out. It is closed when the task is aborted.
pub(crate) async fn accept(
    listener: &TcpListener,
) -> (mpsc::UnboundedReceiver<Stream>, JoinHandle<()>) {
    let (socket, _) = listener.accept().await.unwrap();
    let (streams, taken) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        let mut connection = h2::server::handshake(socket).await.unwrap();
        while let Some(Ok(stream)) = connection.accept().await {
            let _ = streams.send(stream);
        }
    });
    (taken, serving)
}

/// Answers with the request's own message.
async fn echo((request, mut respond): Stream) {
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        message.extend_from_slice(&data.unwrap());
    }
    let response = http::Response::builder().header("content-type", "application/grpc");
    let mut answer = respond.send_response(response.body(()).unwrap(), false).unwrap();
    answer.send_data(message.into(), false).unwrap();
    answer.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
}

/// A peer that echoes what comes.
pub(crate) struct Parrot {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) calls: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
    open: Arc<AtomicUsize>,
}

impl Parrot {
    /// Closes its connections, and takes no other.
    pub(crate) fn stop(&self) {
        self.listening.abort();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes every connection and echoes what comes.
pub(crate) fn parrot(listener: TcpListener) -> Parrot {
    let [connections, calls, open] = <[Arc<AtomicUsize>; 3]>::default();
    let counts = [&connections, &calls, &open].map(Arc::clone);
    let listening = tokio::spawn(async move {
        let [connections, calls, open] = counts;
        let mut serving = JoinSet::new();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            connections.fetch_add(1, Ordering::Relaxed);
            open.fetch_add(1, Ordering::Relaxed);
            let (calls, counted) = (Arc::clone(&calls), Counted(Arc::clone(&open)));
            serving.spawn(async move {
                let _counted = counted;
                echo_all(socket, &calls).await;
            });
        }
    });
    Parrot { connections, calls, listening, open }
}

/// Echoes what comes on this connection.
pub(crate) async fn parrot_on(socket: impl AsyncRead + AsyncWrite + Unpin) {
    echo_all(socket, &AtomicUsize::new(0)).await;
}

async fn echo_all(socket: impl AsyncRead + AsyncWrite + Unpin, calls: &AtomicUsize) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    while let Some(Ok(stream)) = connection.accept().await {
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(echo(stream));
    }
}

#[tokio::test]
async fn calls_begun_at_once_share_one_connection() {
    let (listener, address) = listen().await;
    let Parrot { connections, .. } = parrot(listener);
    let client = client(address);
    let calls = (0..64u8).map(|number| {
        let client = client.clone();
        async move { call(&client, Bytes::from(vec![number; 8]), LIMIT).await.unwrap() }
    });
    let answers = join_all(calls).await;
    assert!((0u8..).zip(answers).all(|(number, answer)| answer == vec![number; 8]));
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_call_whose_connection_breaks_is_told_so_and_the_next_one_gets_through() {
    let (listener, address) = listen().await;
    let client = client(address);
    let under_way = begin(&client, b"one", LIMIT);
    let (mut streams, serving) = accept(&listener).await;
    let unanswered = streams.recv().await.unwrap();
    serving.abort();
    drop(unanswered);
    let told = under_way.await.unwrap().unwrap_err();
    assert_eq!(told.code(), Code::Unavailable, "{told:?}");
    assert!(told.message().contains("the connection broke"), "{told:?}");

    let Parrot { connections, .. } = parrot(listener);
    assert_eq!(call(&client, Bytes::from_static(b"two"), LIMIT).await.unwrap(), "two");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn where_nobody_listens_every_caller_is_told_why_until_somebody_does() {
    let (listener, address) = listen().await;
    drop(listener);
    let client = client(address);
    for told in join_all((0..8).map(|_| call(&client, Bytes::new(), LIMIT))).await {
        let told = told.unwrap_err();
        assert_eq!(told.code(), Code::Unavailable, "{told:?}");
        assert!(told.message().contains("refused"), "{told:?}");
    }
    parrot(TcpListener::bind(address).await.unwrap());
    assert_eq!(call(&client, Bytes::from_static(b"here"), LIMIT).await.unwrap(), "here");
}

#[tokio::test]
async fn a_stream_that_the_peer_refuses_is_unavailable_and_the_connection_stays() {
    let (listener, address) = listen().await;
    let client = client(address);
    let refused = begin(&client, b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (_request, mut respond) = streams.recv().await.unwrap();
    respond.send_reset(h2::Reason::REFUSED_STREAM);
    assert_eq!(refused.await.unwrap().unwrap_err().code(), Code::Unavailable);

    tokio::spawn(async move { echo(streams.recv().await.unwrap()).await });
    assert_eq!(call(&client, Bytes::from_static(b"again"), LIMIT).await.unwrap(), "again");
}

/// An answer as a peer may give it: HTTP status, headers, body, trailers.
struct Odd {
    http: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Option<&'static [u8]>,
    trailers: Option<&'static [(&'static str, &'static str)]>,
}

pub(crate) fn headers(from: &[(&'static str, &'static str)]) -> HeaderMap {
    let of = |(name, value): &(&'static str, &'static str)| {
        (name.parse().unwrap(), HeaderValue::from_static(value))
    };
    from.iter().map(of).collect()
}

async fn told_of(odd: Odd) -> Result<Bytes, Status> {
    let (listener, address) = listen().await;
    let under_way = begin(&client(address), b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (_request, mut respond) = streams.recv().await.unwrap();
    let mut response = http::Response::new(());
    *response.status_mut() = odd.http.try_into().unwrap();
    *response.headers_mut() = headers(odd.headers);
    let bare = odd.body.is_none() && odd.trailers.is_none();
    let mut answer = respond.send_response(response, bare).unwrap();
    if let Some(body) = odd.body {
        answer.send_data(Bytes::from_static(body), odd.trailers.is_none()).unwrap();
    }
    if let Some(trailers) = odd.trailers {
        answer.send_trailers(headers(trailers)).unwrap();
    }
    under_way.await.unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_what_grpc_says_is_told_for_what_it_is() {
    const OK: Option<&[(&str, &str)]> = Some(&[("grpc-status", "0")]);
    let odd = |http, headers, body, trailers| Odd { http, headers, body, trailers };
    let cases: [(Odd, Code, &str); 14] = [
        (odd(200, &[], Some(b"\0\0\0\0\x01a"), None), Code::Unknown, "without a grpc-status"),
        (odd(200, &[], None, Some(&[("x", "y")])), Code::Unknown, "without a grpc-status"),
        (odd(200, &[], None, OK), Code::Internal, "no message"),
        (odd(200, &[("grpc-status", "0")], None, None), Code::Internal, "no message"),
        (odd(200, &[], Some(b"\0\0\0"), OK), Code::Internal, "no message"),
        (
            odd(200, &[], Some(b"\0\0\0\0\x02a"), OK),
            Code::Internal,
            "2 bytes are announced, 1 came",
        ),
        (
            odd(200, &[], Some(b"\0\0\0\0\0\0\0\0\0\0"), OK),
            Code::Internal,
            "0 bytes are announced, 5 came",
        ),
        (odd(200, &[], Some(b"\x01\0\0\0\x01a"), OK), Code::Internal, "does not say how"),
        (
            odd(
                200,
                &[],
                Some(b"\0\0\0\0\x01a"),
                Some(&[("grpc-status", "10"), ("grpc-message", "race")]),
            ),
            Code::Aborted,
            "race",
        ),
        (
            odd(200, &[("grpc-status", "9"), ("grpc-message", "no%20way")], None, None),
            Code::FailedPrecondition,
            "no way",
        ),
        (odd(404, &[], Some(b"<html>"), None), Code::Unimplemented, "404"),
        (odd(503, &[], None, None), Code::Unavailable, "503"),
        (odd(500, &[], None, None), Code::Unknown, "500"),
        (odd(503, &[("grpc-status", "8")], None, None), Code::ResourceExhausted, ""),
    ];
    for (number, (odd, code, why)) in cases.into_iter().enumerate() {
        let told = told_of(odd).await.unwrap_err();
        assert_eq!(told.code(), code, "case {number}: {told:?}");
        assert!(told.message().contains(why), "case {number}: {told:?}");
    }
}

#[tokio::test]
async fn a_message_that_comes_in_pieces_is_put_together() {
    let (listener, address) = listen().await;
    let under_way = begin(&client(address), b"", LIMIT);
    let (mut streams, _serving) = accept(&listener).await;
    let (_request, mut respond) = streams.recv().await.unwrap();
    let mut answer = respond.send_response(http::Response::new(()), false).unwrap();
    for byte in b"\0\0\0\0\x03abc" {
        answer.send_data(Bytes::copy_from_slice(&[*byte]), false).unwrap();
    }
    answer.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
    assert_eq!(under_way.await.unwrap().unwrap(), "abc");
}

#[tokio::test]
async fn a_call_that_is_not_waited_for_any_more_is_cancelled_at_the_peer() {
    let (listener, address) = listen().await;
    let late = begin(&client(address), b"", Duration::from_millis(50));
    let (mut streams, _serving) = accept(&listener).await;
    let (_request, mut respond) = streams.recv().await.unwrap();
    assert_eq!(late.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    let reset = std::future::poll_fn(|context| respond.poll_reset(context)).await.unwrap();
    assert_eq!(reset, h2::Reason::CANCEL);
}

#[tokio::test]
async fn a_peer_that_speaks_no_http_2_fails_the_call() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (mut socket, _): (TcpStream, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let told = call(&client(address), Bytes::new(), LIMIT).await.unwrap_err();
    let unknown = [Code::Unavailable, Code::Internal, Code::Unknown];
    assert!(unknown.contains(&told.code()), "{told:?}");
}

/// More is what gRPC's own servers close a connection for, and end its calls with it.
#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_once_however_long_it_takes_to_answer() {
    const PREFACE: usize = 24;
    const PING: u8 = 6;
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    let (listener, address) = listen().await;
    let mute = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(SETTINGS).await.unwrap();
        let mut sent = Vec::new();
        socket.read_to_end(&mut sent).await.unwrap();
        sent
    });
    let client = client(address);
    let told = call(&client, Bytes::new(), Duration::from_hours(1)).await.unwrap_err();
    assert_eq!(told.code(), Code::DeadlineExceeded, "{told:?}");
    drop(client);

    let sent = mute.await.unwrap();
    let mut frames = &sent[PREFACE..];
    let mut kinds = Vec::new();
    while let [high, middle, low, kind, ..] = frames {
        kinds.push(*kind);
        let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).unwrap();
        frames = &frames[9 + length..];
    }
    let pings = kinds.iter().filter(|kind| **kind == PING).count();
    assert_eq!(pings, 1, "{kinds:?}");
}

/// Thanks with as many letters as the purchase's number says.
pub(crate) struct Effusive(pub(crate) MethodDescriptor);

impl Handler for Effusive {
    fn handle(
        &self,
        _: Call,
        purchase: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let number = purchase.get_field_by_name("number").unwrap();
        let thanks = "t".repeat(number.as_str().unwrap().parse().unwrap());
        let mut receipt = DynamicMessage::new(self.0.output());
        receipt.set_field_by_name("thanks", Value::String(thanks));
        Box::pin(async move { Ok(receipt.into()) })
    }
}

#[tokio::test]
async fn messages_larger_than_any_window_pass_one_after_the_other() {
    const MESSAGE_LENGTH: usize = 7_000_000;
    let _room = crate::large::ROOM.lock().await;
    let buy = buy();
    let mut shop = Server::new(Facade::new(Clock::system(), Calls::Notable));
    shop.serve(&buy, Arc::new(Effusive(buy.clone())));
    let (listener, address) = listen().await;
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve("shop", &Readiness::default(), shop.build(), listener).await;
    tokio::spawn(process.run(std::future::pending()));

    let peer = Peer { max_response: NonZero::new(8 << 20).unwrap(), ..at(address) };
    let client = to_peer(Clock::system(), &peer);
    let mut purchase = DynamicMessage::new(buy.input());
    purchase.set_field_by_name("number", Value::String(MESSAGE_LENGTH.to_string()));
    purchase.set_field_by_name("holder", Value::String("h".repeat(1_000_000)));
    for _ in 0..3 {
        let answer = call(&client, purchase.encode_to_vec().into(), LIMIT).await.unwrap();
        let receipt = DynamicMessage::decode(buy.output(), answer).unwrap();
        let thanks = receipt.get_field_by_name("thanks").unwrap();
        assert_eq!(thanks.as_str().unwrap().len(), MESSAGE_LENGTH);
    }
}
