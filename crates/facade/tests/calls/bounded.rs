//! What a connection, and the process, hold of requests and responses is bounded, whoever sends or does not take them.

use std::{future::poll_fn, num::NonZero, sync::Arc, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use facade::{
    Facade,
    budget::Budget,
    config::{Connections, Requests, Responses},
    log::Calls,
    process::Process,
    readiness::Readiness,
    server::Server,
};
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::HeaderMap;
use prost::Message;
use prost_reflect::{DynamicMessage, Value};
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    facade::v1::Reason,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, yield_now},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    messages::buy,
    network::Effusive,
    server::{Sent, Shop, framed},
};

const BUY: &str = "http://shop/cards.v1.Cards/Buy";
const PLACE_ORDER: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";

fn size(bytes: usize) -> NonZero<usize> {
    NonZero::new(bytes).unwrap()
}

/// Serves `Cards/Buy`, which has no rules, on a socket.
async fn shop(clock: Clock, budget: &Budget) -> String {
    let buy = buy();
    let facade = Facade::new(clock.clone(), Calls::Notable).within(budget.clone());
    let mut shop = Server::new(facade);
    shop.serve(&buy, Arc::new(Effusive(buy.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut process = Process::new(clock, Connections::default());
    process.serve("shop", &Readiness::default(), shop.build(), listener).await;
    tokio::spawn(process.run(std::future::pending()));
    address
}

/// A client that does nothing by itself.
struct Client {
    calls: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(address: &str) -> Self {
        Self::with_window(address, 65_535).await
    }

    /// One that takes so many bytes of each response.
    async fn with_window(address: &str, window: u32) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut http = Builder::new();
        let (calls, connection) = http.initial_window_size(window).handshake(stream).await.unwrap();
        Self { calls, connection: tokio::spawn(connection) }
    }

    async fn open(&mut self) -> (ResponseFuture, SendStream<Bytes>) {
        let request = http::Request::post(BUY).header("content-type", "application/grpc");
        poll_fn(|context| self.calls.poll_ready(context)).await.unwrap();
        self.calls.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Opens a call and sends the beginning of its body.
    async fn begin(&mut self, body: impl Into<Bytes>) -> (ResponseFuture, SendStream<Bytes>) {
        let (response, mut stream) = self.open().await;
        stream.send_data(body.into(), false).unwrap();
        (response, stream)
    }

    /// Calls for a receipt with so many letters.
    async fn buy(&mut self, letters: usize) -> ResponseFuture {
        let (response, mut stream) = self.open().await;
        let mut purchase = DynamicMessage::new(buy().input());
        purchase.set_field_by_name("number", Value::String(letters.to_string()));
        stream.send_data(framed(&purchase.encode_to_vec()).into(), true).unwrap();
        response
    }
}

/// What a message of so many bytes begins with.
fn head(length: usize) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[0], length.as_slice()].concat()
}

async fn status(response: ResponseFuture) -> Status {
    let (parts, body) = response.await.unwrap().into_parts();
    match Status::from_header_map(&parts.headers) {
        Some(status) => status,
        None => Status::from_header_map(&trailers(body).await).unwrap(),
    }
}

/// The status of a call that was answered by headers alone.
async fn refused_before_the_handler(response: ResponseFuture) -> Status {
    let response = response.await.unwrap();
    Status::from_header_map(response.headers()).expect("no handler made a response")
}

async fn trailers(mut body: RecvStream) -> HeaderMap {
    while let Some(data) = body.data().await {
        let _ = body.flow_control().release_capacity(data.unwrap().len());
    }
    body.trailers().await.unwrap().unwrap()
}

/// RESOURCE_EXHAUSTED that says when to come again, and names the setting.
fn assert_pushed_back(status: &Status, setting: &str) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, Reason::Overloaded.code());
    assert!(details.retry_info().is_some_and(|info| info.retry_delay.is_some()));
    assert!(status.message().contains(setting), "{status:?}");
}

#[tokio::test]
async fn streams_that_announce_much_and_send_little_hold_little() {
    const STREAMS: usize = 1000;
    let budget = Budget::default();
    let address = shop(Clock::system(), &budget).await;
    let mut clients = [Client::connect(&address).await, Client::connect(&address).await];
    let mut calls = Vec::new();
    for client in &mut clients {
        for _ in 0..STREAMS {
            calls.push(client.begin([head(1 << 20), vec![b'x']].concat()).await);
        }
    }
    // Each holds its first piece once its head has come.
    while budget.request_bytes() < 2 * STREAMS * 1024 {
        yield_now().await;
    }
    assert_eq!(budget.request_bytes(), 2 * STREAMS * 1024);
    drop(calls);
    while budget.request_bytes() > 0 {
        yield_now().await;
    }
    let [client, _] = &mut clients;
    let answered = client.buy(10).await;
    assert_eq!(status(answered).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_message_that_is_announced_too_large_is_refused_by_its_head_with_the_limits_name() {
    let address = shop(Clock::system(), &Budget::default()).await;
    let mut client = Client::connect(&address).await;
    let (response, _stream) = client.begin(head((1 << 20) + 1)).await;
    let refused = status(response).await;
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(refused.message().contains("1048576 by limits.requests.max_size"), "{refused:?}");
}

#[tokio::test]
async fn the_rules_of_a_method_say_how_large_its_message_may_be() {
    let shop = Shop::open();
    // Four times what the largest sound order has; less than what a method without rules takes.
    let refused = shop.call(Sent::new(PLACE_ORDER, head(200_000))).await;
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(refused.status().message().contains("by the rules of its fields"));
    assert_eq!(shop.orders(), 0);
}

#[tokio::test]
async fn a_connection_that_holds_its_share_of_requests_is_pushed_back_and_others_go_on() {
    let requests = Requests {
        max_size: size(32_768),
        bytes_per_connection: size(65_536),
        ..Requests::default()
    };
    let budget = Budget::new(requests, Responses::default());
    let address = shop(Clock::system(), &budget).await;
    let mut greedy = Client::connect(&address).await;
    let mut calls = Vec::new();
    let part = || Bytes::from([head(32_768), vec![b'x'; 15_000]].concat());
    for _ in 0..5 {
        calls.push(greedy.begin(part()).await);
    }
    let (response, _stream) = calls.pop().unwrap();
    assert_pushed_back(&status(response).await, "limits.requests.bytes_per_connection");
    assert!(budget.request_bytes() <= 65_536);
    let mut other = Client::connect(&address).await;
    assert_eq!(status(other.buy(10).await).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_also_where_the_caller_waits_for_ever() {
    for timeout in [None, Some("99999999H")] {
        let (clock, hands) = Clock::manual(Timestamp(0));
        let shop = Shop::by(clock.clone());
        let mut sent = Sent::without_body(PLACE_ORDER);
        if let Some(timeout) = timeout {
            sent = sent.with("grpc-timeout", timeout);
        }
        let (answer, ()) = tokio::join!(shop.call(sent), hands.advance_to_next());
        assert_eq!(clock.now(), Timestamp(30_000));
        assert_eq!(answer.code(), Code::DeadlineExceeded);
        let (info, result) = answer.details();
        assert_eq!(info.reason, Reason::BodyUnreadable.code());
        assert!(result.message.contains("limits.requests.body_timeout"), "{result:?}");
    }
}

#[tokio::test]
async fn a_second_message_is_refused() {
    let shop = Shop::open();
    let order = b"\x0a\x01t\x12\x03ada\x1a\x07\x0a\x03tea\x10\x01";
    let answer = shop.call(Sent::new(PLACE_ORDER, framed(order).repeat(2))).await;
    assert_eq!(answer.code(), Code::InvalidArgument);
    assert_eq!(answer.details().0.reason, Reason::BodyUnreadable.code());
    assert_eq!(shop.orders(), 0);
}

#[tokio::test]
async fn a_message_that_comes_byte_by_byte_is_the_same_message() {
    let address = shop(Clock::system(), &Budget::default()).await;
    let mut client = Client::connect(&address).await;
    let (response, mut stream) = client.open().await;
    let mut purchase = DynamicMessage::new(buy().input());
    purchase.set_field_by_name("number", Value::String("12".to_owned()));
    purchase.set_field_by_name("holder", Value::String("h".repeat(2_000)));
    for byte in framed(&purchase.encode_to_vec()) {
        stream.send_data(vec![byte].into(), false).unwrap();
        yield_now().await;
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert_eq!(status(response).await.code(), Code::Ok);
}

#[tokio::test]
async fn too_many_entries_are_refused_in_the_words_of_the_rule() {
    let order = PlaceOrderRequest {
        user_id: "ada".to_owned(),
        submit_token: "t".to_owned(),
        lines: vec![Line::default(); 4_000],
        ..PlaceOrderRequest::default()
    };
    let shop = Shop::open();
    let answer = shop.call(Sent::new(PLACE_ORDER, framed(&order.encode_to_vec()))).await;
    assert_eq!(answer.code(), Code::InvalidArgument);
    let violations = answer.status().get_error_details().bad_request().unwrap().clone();
    let told: Vec<_> = violations.field_violations.iter().map(|one| one.field.as_str()).collect();
    // Nothing is said of the lines themselves: nobody has looked at them.
    assert_eq!(told, ["lines"]);
    assert_eq!(shop.orders(), 0);
}

#[tokio::test]
async fn more_fields_than_may_be_are_refused_with_the_limits_name() {
    let address = shop(Clock::system(), &Budget::default()).await;
    let mut client = Client::connect(&address).await;
    // Field 9, which the message does not have, with the value 1.
    let (response, mut stream) = client.begin(framed(&b"\x48\x01".repeat(16_385))).await;
    stream.send_data(Bytes::new(), true).unwrap();
    let refused = status(response).await;
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(refused.message().contains("limits.requests.max_fields"), "{refused:?}");
}

#[tokio::test]
async fn who_takes_no_responses_gets_no_more_of_them() {
    let responses = Responses { bytes_per_connection: size(50_000), ..Responses::default() };
    let budget = Budget::new(Requests::default(), responses);
    let address = shop(Clock::system(), &budget).await;
    let mut stalled = Client::with_window(&address, 0).await;
    let _first = stalled.buy(49_000).await;
    while budget.response_bytes() < 49_000 {
        yield_now().await;
    }
    // What is small goes out in any case.
    let _second = stalled.buy(2_000).await;
    while budget.response_bytes() < 50_000 {
        yield_now().await;
    }
    let refused = refused_before_the_handler(stalled.buy(10).await).await;
    assert_pushed_back(&refused, "limits.responses.bytes_per_connection");
    let mut other = Client::connect(&address).await;
    assert_eq!(status(other.buy(49_000).await).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_response_without_room_is_dropped_and_no_further_one_is_made_before_there_is_room() {
    let responses = Responses { bytes_per_connection: size(50_000), ..Responses::default() };
    let budget = Budget::new(Requests::default(), responses);
    let address = shop(Clock::system(), &budget).await;
    let mut stalled = Client::with_window(&address, 0).await;
    let first = stalled.buy(40_000).await;
    while budget.response_bytes() < 40_000 {
        yield_now().await;
    }
    let dropped = status(stalled.buy(20_000).await).await;
    assert_pushed_back(&dropped, "limits.responses.bytes_per_connection");
    let refused = refused_before_the_handler(stalled.buy(20_000).await).await;
    assert_pushed_back(&refused, "limits.responses.bytes_per_connection");
    // Its caller gives it up.
    drop(first);
    while budget.response_bytes() > 0 {
        yield_now().await;
    }
    let _next = stalled.buy(20_000).await;
    while budget.response_bytes() < 20_000 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_takes_nothing_is_closed_and_what_waited_for_it_is_given_up() {
    let (clock, hands) = Clock::manual(Timestamp(0));
    let budget = Budget::default();
    let address = shop(clock.clone(), &budget).await;
    let mut stalled = Client::with_window(&address, 0).await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(stalled.buy(100_000).await);
    }
    while budget.response_bytes() < 300_000 {
        yield_now().await;
    }
    hands.advance_to_next().await;
    assert_eq!(clock.now(), Timestamp(30_000));
    let ended = stalled.connection.await.unwrap();
    assert!(ended.is_err() || ended.is_ok(), "it ends");
    while budget.response_bytes() > 0 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_takes_a_little_now_and_then_stays() {
    let (clock, hands) = Clock::manual(Timestamp(0));
    let budget = Budget::default();
    let address = shop(clock.clone(), &budget).await;
    let mut slow = Client::with_window(&address, 1_000).await;
    let mut body = slow.buy(10_000).await.await.unwrap().into_body();
    for _ in 0..9 {
        let data = body.data().await.unwrap().unwrap();
        hands.advance(Duration::from_secs(29));
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    assert_eq!(Status::from_header_map(&trailers(body).await).unwrap().code(), Code::Ok);
    assert!(!slow.connection.is_finished());
}
