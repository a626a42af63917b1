//! Calls that never reach a handler are told, logged and enveloped like every other failure.

use std::time::Duration;

use clock::{Clock, Timestamp};
use facade::Failure;
use prost::Message;
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    facade::v1::{Reason, ResultInfo},
    rules::Violation,
};
use tonic::Code;
use tracing::Level;

use crate::{
    logged::Logged,
    server::{Answer, Sent, Shop, framed},
};

const PLACE_ORDER: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

fn sent(path: &'static str, body: impl Into<Vec<u8>>) -> Sent {
    Sent::new(path, body)
        .with("traceparent", &format!("00-{TRACE_ID}-b7ad6b7169203331-01"))
        .with("saga-id", "saga-7")
        .with("saga-step", "charge")
        .with("saga-direction", "undo")
}

/// What reaches no handler, each with what it must be told as.
fn refused() -> Vec<(&'static str, Sent, Code, Reason)> {
    let place = |body: &[u8]| sent(PLACE_ORDER, body);
    let unreadable = Reason::BodyUnreadable;
    vec![
        (
            "bytes that are no message",
            place(&framed(b"\xff\xff\xff")),
            Code::InvalidArgument,
            unreadable,
        ),
        ("a field that ends early", place(&framed(b"\x0a\x7f")), Code::InvalidArgument, unreadable),
        ("no message at all", place(b""), Code::InvalidArgument, unreadable),
        ("a frame that ends early", place(b"\0\0\0\0\x09ab"), Code::InvalidArgument, unreadable),
        ("a frame of an unknown kind", place(b"\x07\0\0\0\0"), Code::InvalidArgument, unreadable),
        (
            "a frame compressed by nothing",
            place(b"\x01\0\0\0\0"),
            Code::InvalidArgument,
            unreadable,
        ),
        (
            "a compression that is not taken",
            place(&framed(b"")).with("grpc-encoding", "gzip"),
            Code::Unimplemented,
            unreadable,
        ),
        (
            "a message of more than four mebibytes",
            place(&framed(&vec![b'x'; (4 << 20) + 1])),
            Code::OutOfRange,
            Reason::MessageTooLarge,
        ),
        (
            "a method that the service does not have",
            sent("/sagamesh.checkout.v1.CheckoutService/Nothing", framed(b"")),
            Code::Unimplemented,
            Reason::MethodUnknown,
        ),
        (
            "a service that is not here, though its contract is known",
            sent("/sagamesh.stock.v1.StockService/Freeze", framed(b"")),
            Code::Unimplemented,
            Reason::MethodUnknown,
        ),
        (
            "a path that is no method",
            sent("/", framed(b"")),
            Code::Unimplemented,
            Reason::MethodUnknown,
        ),
        (
            "a timeout that is none",
            place(&framed(b"")).with("grpc-timeout", "soon"),
            Code::InvalidArgument,
            Reason::InvalidRequest,
        ),
    ]
}

fn told(answer: &Answer) -> (Code, String, ResultInfo) {
    let (info, result) = answer.details();
    assert_eq!(info.domain, "sagamesh");
    assert_eq!(info.reason, result.code, "both carry the same reason");
    assert_eq!(result.trace_id, TRACE_ID);
    assert!(!result.success && !result.message.is_empty());
    (answer.code(), info.reason, result)
}

#[tokio::test]
async fn each_has_its_status_with_the_reason_and_the_trace() {
    for (what, sent, code, reason) in refused() {
        let shop = Shop::open();
        let answer = shop.call(sent).await;
        let (found, named, _) = told(&answer);
        assert_eq!((found, named.as_str()), (code, reason.code()), "{what}");
        assert_eq!(shop.orders(), 0, "{what} reached the handler");
    }
}

#[tokio::test]
async fn each_is_an_envelope_where_the_caller_asks_for_one_and_the_method_has_a_result() {
    for (what, sent, code, reason) in refused() {
        let answer = Shop::open().call(sent.with("x-response-mode", "envelope")).await;
        if reason == Reason::MethodUnknown {
            assert_eq!(answer.code(), code, "{what}: nobody knows what to put the result into");
            continue;
        }
        assert_eq!(answer.code(), Code::Ok, "{what}");
        let result = answer.result();
        assert_eq!((result.success, result.code.as_str()), (false, reason.code()), "{what}");
        assert_eq!(result.trace_id, TRACE_ID, "{what}");
    }
}

#[tokio::test]
async fn each_has_one_log_line_with_its_saga_step_and_trace() {
    for (what, sent, code, reason) in refused() {
        let logged = Logged::at(Level::INFO);
        let path = sent.path();
        Shop::open().call(sent).await;
        let lines = logged.lines();
        let [line] = lines.as_slice() else { panic!("{what}: {lines:#?}") };
        let field = |name: &str| line["span"][name].as_str().or(line[name].as_str()).unwrap();
        assert_eq!(field("status"), format!("{code:?}"), "{what}");
        assert_eq!(field("reason"), reason.code(), "{what}");
        assert_eq!(field("message"), "call refused", "{what}");
        assert_eq!((field("method"), field("trace.id")), (path, TRACE_ID), "{what}");
        assert_eq!(field("span.id").len(), 16, "{what}");
        assert_eq!(
            (field("saga.id"), field("saga.step"), field("saga.direction")),
            ("saga-7", "charge", "undo"),
            "{what}"
        );
    }
}

/// Failures with as much text from outside as somebody can bring.
fn wordy() -> [fn() -> Failure; 4] {
    [
        || {
            let violation = |index| Violation {
                path: format!("lines[{index}].{}", "p".repeat(100_000)),
                message: "m".repeat(100_000),
            };
            Failure::Invalid((0..100).map(violation).collect())
        },
        || Failure::new(Reason::SagaUnknown, "💳".repeat(1_000_000)),
        || {
            let failure = Failure::new(Reason::SagaUnknown, "it is not there");
            let facts = (0..100).map(|fact| (format!("fact_{fact}"), "f".repeat(1_000)));
            facts.fold(failure, |failure, (name, value)| failure.with_fact(name, value))
        },
        || Failure::internal("c".repeat(1_000_000)),
    ]
}

#[tokio::test]
async fn what_is_echoed_fits_into_the_headers_that_a_client_takes_and_into_a_log_line() {
    // submit_token "t", user_id "ada", one line of { sku "tea", quantity 1 }
    let order = framed(b"\x0a\x01t\x12\x03ada\x1a\x07\x0a\x03tea\x10\x01");
    for failure in wordy() {
        let logged = Logged::at(Level::INFO);
        let sent = Sent::new(PLACE_ORDER, order.clone()).with("saga-id", &"s".repeat(10_000));
        let answer = Shop::refusing(failure).call(sent).await;
        assert_ne!(answer.code(), Code::Ok);
        assert!(answer.header_bytes() < 8_192, "{}", answer.header_bytes());
        assert!(!answer.details().1.message.is_empty(), "the details can still be read");
        let lines = logged.lines();
        let [line] = lines.as_slice() else { panic!("{lines:#?}") };
        assert!(line.to_string().len() < 4_096, "{line}");
    }
}

#[tokio::test]
async fn a_path_as_long_as_a_header_is_cut_in_the_answer_and_in_the_log() {
    let logged = Logged::at(Level::INFO);
    let path: &'static str = format!("/{}/Nothing", "x".repeat(50_000)).leak();
    let answer = Shop::open().call(Sent::new(path, framed(b""))).await;
    assert_eq!(answer.code(), Code::Unimplemented);
    assert!(answer.header_bytes() < 4_096, "{}", answer.header_bytes());
    assert!(logged.lines()[0].to_string().len() < 4_096);
}

#[tokio::test]
async fn calls_that_are_refused_for_overload_have_ten_lines_a_second_and_the_next_counts_the_others()
 {
    let (clock, time) = Clock::manual(Timestamp(1_000));
    let shop = Shop::full(clock);
    let logged = Logged::at(Level::INFO);
    let order = PlaceOrderRequest {
        user_id: "u-1".to_owned(),
        submit_token: "t".to_owned(),
        lines: vec![Line { sku: "tea".to_owned(), quantity: 1 }],
        ..PlaceOrderRequest::default()
    };
    let order = framed(&order.encode_to_vec());
    let refused = async |calls: u32| {
        for _ in 0..calls {
            let answer = shop.call(sent(PLACE_ORDER, order.clone())).await;
            assert_eq!(answer.code(), Code::ResourceExhausted);
        }
    };
    refused(100).await;
    time.advance(Duration::from_millis(999));
    refused(1).await;
    time.advance(Duration::from_millis(1));
    refused(50).await;
    let counts: Vec<_> = logged.lines().iter().map(|line| line["calls"].as_u64()).collect();
    assert_eq!(counts, [vec![None; 10], vec![Some(92)], vec![None; 9]].concat());
    assert_eq!(shop.orders(), 151);
}

#[tokio::test]
async fn a_request_that_does_not_come_is_answered_while_its_caller_still_waits() {
    for (mode, code) in [("", Code::DeadlineExceeded), ("envelope", Code::Ok)] {
        let (clock, time) = Clock::manual(Timestamp(0));
        let shop = Shop::by(clock.clone());
        let logged = Logged::at(Level::INFO);
        let sent = Sent::without_body(PLACE_ORDER).with("x-response-mode", mode);
        let call = shop.call(sent.with("grpc-timeout", "2S"));
        let (answer, ()) = tokio::join!(call, time.advance_to_next());
        assert_eq!(clock.now(), Timestamp(1_950), "later than any handler, before the caller");
        assert_eq!(answer.code(), code);
        let result = if mode.is_empty() { answer.details().1 } else { answer.result() };
        assert_eq!((result.success, result.code.as_str()), (false, "DEADLINE_PASSED"));
        let lines = logged.lines();
        assert_eq!((lines.len(), &lines[0]["peer"]), (1, &"10.0.0.7:1".into()));
        assert_eq!(lines[0]["elapsed_us"], 1_950_000);
    }
}

#[tokio::test]
async fn a_log_line_tells_the_time_of_a_call_in_microseconds() {
    let shop = Shop::by(Clock::system());
    let logged = Logged::at(Level::INFO);
    for _ in 0..5 {
        shop.call(sent(PLACE_ORDER, framed(b""))).await;
    }
    let took: Vec<u64> =
        logged.lines().iter().map(|line| line["elapsed_us"].as_u64().unwrap()).collect();
    assert_eq!(took.len(), 5);
    assert!(took.iter().any(|took| took % 1_000 != 0), "{took:?}");
}

#[tokio::test]
async fn a_compression_that_is_not_taken_names_those_that_are() {
    let sent = sent(PLACE_ORDER, framed(b"")).with("grpc-encoding", "gzip");
    assert_eq!(Shop::open().call(sent).await.header("grpc-accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn what_a_handler_answers_passes_as_it_is() {
    let shop = Shop::open();
    let broken = shop.call(sent(PLACE_ORDER, framed(b""))).await;
    assert_eq!(
        (broken.code(), told(&broken).1.as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    // submit_token "t", user_id "ada", one line of { sku "tea", quantity 1 }
    let order = b"\x0a\x01t\x12\x03ada\x1a\x07\x0a\x03tea\x10\x01";
    let placed = shop.call(sent(PLACE_ORDER, framed(order))).await;
    assert_eq!((placed.code(), placed.result().code.as_str()), (Code::Ok, "OK"));
    assert_eq!(shop.orders(), 1);
}
