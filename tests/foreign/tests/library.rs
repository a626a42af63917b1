//! A service with a contract of its own gets all that the facade does, over a real connection.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use clock::Clock;
use facade::{
    Facade,
    config::Connections,
    listener,
    log::{Calls, Format},
    process::Process,
    readiness::Readiness,
    server::Server,
};
use foreign::{
    Shelf,
    contracts::{
        descriptors,
        library::v1::{
            BorrowRequest, WatchRequest,
            borrow_request::{Book, book::Mark},
            library_client::LibraryClient,
        },
    },
    handlers::library,
};
use prost_reflect::{DescriptorPool, DynamicMessage, prost::Message};
use proto::{
    facade::v1::Money,
    rules::{dynamic_violations, violations},
};
use tonic::{Code, Request, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// A library that is served on a socket by this thread, so that the thread's subscriber sees what it logs.
async fn served(limit: usize) -> Channel {
    let facade = Facade::new(Clock::system(), Calls::All).shedding(NonZeroUsize::new(limit));
    let server = Server::new(facade).with(library::mount(Shelf)).build();
    let listener = listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve("library", &Readiness::default(), server, listener).await;
    tokio::spawn(process.run(std::future::pending()));
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

fn book(isbn: &str) -> Book {
    Book { isbn: isbn.to_owned(), copies: 1, ..Book::default() }
}

fn sound() -> BorrowRequest {
    BorrowRequest {
        reader: "ada".to_owned(),
        books: vec![book("0140449132"), book("0140449265")],
        deposit: Some(Money { currency: "EUR".to_owned(), minor_units: 500 }),
        pin: "4711".to_owned(),
        ..BorrowRequest::default()
    }
}

/// Breaks a rule of each kind, at each depth.
fn broken() -> BorrowRequest {
    let marks = ["torn", "torn", "illegible"].map(|name| Mark { name: name.to_owned() });
    let bound = Book { copies: 6, marks: marks.to_vec(), ..book("short") };
    let outer = Book { bound_with: Some(Box::new(bound)), ..book("0140449132") };
    BorrowRequest {
        reader: "a b".to_owned(),
        books: vec![outer, book("0140449132")],
        deposit: Some(Money { currency: "euro".to_owned(), minor_units: 0 }),
        ..BorrowRequest::default()
    }
}

#[tokio::test]
async fn a_response_has_its_result_and_a_decline_is_told_in_it() {
    let mut library = LibraryClient::new(served(8).await);
    let lent = library.borrow(sound()).await.unwrap().into_inner();
    assert_eq!(lent.loan, "ada's, in /library.v1.Library/Borrow");
    let result = lent.result.unwrap();
    assert_eq!((result.success, result.code.as_str(), result.trace_id.len()), (true, "OK", 32));
    let nobody = BorrowRequest { reader: "nobody".to_owned(), ..sound() };
    let result = library.borrow(nobody).await.unwrap().into_inner().result.unwrap();
    assert_eq!((result.success, result.code.as_str()), (false, "NOTHING_TO_UNDO"));
}

#[tokio::test]
async fn every_rule_that_a_request_breaks_is_told_with_its_path() {
    let mut library = LibraryClient::new(served(8).await);
    let refused = library.borrow(broken()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "INVALID_REQUEST");
    let violations = &details.bad_request().unwrap().field_violations;
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "books",
            "books[0].bound_with.copies",
            "books[0].bound_with.isbn",
            "books[0].bound_with.marks",
            "books[0].bound_with.marks[2].name",
            "deposit.currency",
            "deposit.minor_units",
            "reader",
        ]
    );
}

#[test]
fn typed_and_dynamic_messages_break_the_same_rules() {
    let kind = descriptors().get_message_by_name("library.v1.BorrowRequest").unwrap();
    for request in [sound(), broken(), BorrowRequest::default()] {
        let bytes = request.encode_to_vec();
        let dynamic = DynamicMessage::decode(kind.clone(), bytes.as_slice()).unwrap();
        assert_eq!(violations(&request), dynamic_violations(&dynamic), "{dynamic}");
    }
}

#[tokio::test]
async fn what_no_handler_answers_is_told_in_the_services_own_envelope() {
    let mut grpc = tonic::client::Grpc::new(served(8).await);
    for (path, code) in [
        ("/library.v1.Library/Borrow", Code::Ok),
        ("/library.v1.Library/Burn", Code::Unimplemented),
        ("/sagamesh.stock.v1.StockService/Freeze", Code::Unimplemented),
    ] {
        grpc.ready().await.unwrap();
        let mut request = Request::new(b"\xff".as_slice().into());
        request.metadata_mut().insert("x-response-mode", "envelope".parse().unwrap());
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        match grpc.unary(request, path, facade::codec::Raw).await {
            Ok(envelope) => {
                let response =
                    foreign::contracts::library::v1::BorrowResponse::decode(envelope.into_inner());
                assert_eq!(response.unwrap().result.unwrap().code, "BODY_UNREADABLE");
                assert_eq!(code, Code::Ok);
            }
            Err(status) => {
                let reason = status.get_details_error_info().unwrap().reason;
                assert_eq!((status.code(), reason.as_str()), (code, "METHOD_UNKNOWN"));
            }
        }
    }
}

#[tokio::test]
async fn a_stream_takes_room_only_until_it_is_opened() {
    let channel = served(1).await;
    let mut library = LibraryClient::new(channel);
    let watch = WatchRequest { reader: "ada".to_owned() };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut loans = library.watch(watch.clone()).await.unwrap().into_inner();
        let first = loans.message().await.unwrap().unwrap();
        assert_eq!((first.loan.as_str(), first.result.unwrap().success), ("ada", true));
        streams.push(loans);
    }
    library.borrow(sound()).await.unwrap();
}

#[tokio::test]
async fn reflection_shows_the_service_with_its_rules() {
    let mut reflection = ServerReflectionClient::new(served(8).await);
    let ask = |request| ServerReflectionRequest {
        message_request: Some(request),
        ..ServerReflectionRequest::default()
    };
    let asked = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("library.v1.Library".to_owned())),
    ]);
    let mut told = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        told.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list")
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"library.v1.Library".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("sagamesh.")), "{names:?}");
    let Some(MessageResponse::FileDescriptorResponse(files)) =
        told.message().await.unwrap().unwrap().message_response
    else {
        panic!("no file")
    };
    let mut pool = DescriptorPool::new();
    for file in files.file_descriptor_proto.iter().rev() {
        pool.decode_file_descriptor_proto(file.as_slice()).unwrap();
    }
    let rules = pool.get_extension_by_name("sagamesh.facade.v1.rules").unwrap();
    let request = pool.get_message_by_name("library.v1.BorrowRequest").unwrap();
    assert!(request.get_field_by_name("reader").unwrap().options().has_extension(&rules));
}

/// What all tests log: what a thread logs by itself depends on which test came first.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_has_both_messages_without_secrets_and_one_line_a_call() {
    let written = Written::default();
    let writer = written.clone();
    let lines = facade::log::layer(Format::Json, false, move || writer.clone());
    tracing_subscriber::registry().with(lines).with(LevelFilter::DEBUG).init();
    let mut library = LibraryClient::new(served(8).await);
    let lent = library.borrow(sound()).await.unwrap().into_inner();

    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let trace_id = lent.result.unwrap().trace_id;
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ours: Vec<_> = lines.filter(|line| line["span"]["trace.id"] == trace_id).collect();
    let said = |message: &str| {
        let mut found = ours.iter().filter(|line| line["message"] == message);
        let line = found.next().unwrap_or_else(|| panic!("{message:?} is not in {ours:#?}"));
        assert!(found.next().is_none(), "{message:?} is logged twice");
        line.to_string()
    };
    assert!(said("request").contains("0140449132"));
    assert!(said("response").contains("s, in /library"));
    assert!(said("call done").contains("/library.v1.Library/Borrow"));
    assert!(ours.iter().all(|line| !line.to_string().contains("4711")), "{ours:#?}");
}
