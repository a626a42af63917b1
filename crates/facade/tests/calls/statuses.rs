//! Who made a status is known by a mark, so what a service answers that is not ours passes as it is, whatever it looks
//! like, and what tonic refuses by itself does not.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use clock::Clock;
use facade::{Facade, codec::Raw, log::Calls, server::Server};
use futures::future::BoxFuture;
use prost::Message;
use proto::facade::v1::Reason;
use tonic::{
    Code, Status,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, NamedService, UnaryService},
};
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};
use tracing::Level;

use crate::{
    logged::Logged,
    server::{Sent, Shop, framed},
};

const ANSWER: &str = "/hand.v1.Written/Answer";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECT: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// As the code that tonic generates: one method, which answers with the status whose number it is sent.
#[derive(Clone)]
struct HandWritten;

impl NamedService for HandWritten {
    const NAME: &'static str = "hand.v1.Written";
}

impl tower::Service<http::Request<Body>> for HandWritten {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() == ANSWER {
                return Ok(Grpc::new(Raw).unary(HandWritten, request).await);
            }
            let mut response = http::Response::new(Body::default());
            let headers = response.headers_mut();
            headers.insert("grpc-status", http::HeaderValue::from(Code::Unimplemented as i32));
            headers.insert("content-type", http::HeaderValue::from_static("application/grpc"));
            Ok(response)
        })
    }
}

impl UnaryService<Bytes> for HandWritten {
    type Response = Bytes;
    type Future = Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let code = Code::from(i32::from(request.get_ref()[0]));
        let mut metadata = MetadataMap::new();
        metadata.insert("written-by", "hand".parse().unwrap());
        ready(match code {
            Code::Ok => Ok(tonic::Response::new(Bytes::from_static(b"fine"))),
            code => Err(Status::with_metadata(code, "as it is", metadata)),
        })
    }
}

fn shop() -> Shop {
    let facade = Facade::new(Clock::system(), Calls::Notable);
    Shop::on(Server::new(facade).beside(HandWritten))
}

fn check(service: &str) -> Vec<u8> {
    framed(&HealthCheckRequest { service: service.to_owned() }.encode_to_vec())
}

#[tokio::test]
async fn every_status_of_a_hand_written_service_passes_as_it_is() {
    let logged = Logged::at(Level::INFO);
    for number in 0..=16_u8 {
        for mode in ["", "envelope"] {
            let sent = Sent::new(ANSWER, framed(&[number])).with("x-response-mode", mode);
            let answer = shop().call(sent).await;
            let (status, code) = (answer.status(), Code::from(i32::from(number)));
            assert_eq!(status.code(), code);
            if code != Code::Ok {
                assert_eq!(
                    (status.message(), status.details()),
                    ("as it is", &b""[..]),
                    "{code:?}"
                );
                assert_eq!(status.metadata().get("written-by").unwrap(), "hand");
            }
        }
    }
    assert_eq!(logged.lines().len(), 0, "it logs its calls itself");
}

#[tokio::test]
async fn statuses_of_health_and_reflection_pass_as_they_are() {
    for path in [CHECK, WATCH] {
        let unknown = shop().call(Sent::new(path, check("nobody"))).await;
        assert_eq!(unknown.code(), Code::NotFound, "{path}");
        assert_eq!(unknown.status().message(), "service not registered");
        assert!(unknown.status().details().is_empty());
    }
    assert_eq!(shop().call(Sent::new(CHECK, check(""))).await.code(), Code::Ok);

    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::FileContainingSymbol("nobody".to_owned())),
        ..ServerReflectionRequest::default()
    };
    let told = shop().call(Sent::new(REFLECT, framed(&request.encode_to_vec()))).await;
    assert_eq!(told.code(), Code::Ok);
    let told = ServerReflectionResponse::decode(&told.body()[5..]).unwrap();
    let Some(MessageResponse::ErrorResponse(error)) = told.message_response else {
        panic!("{told:?}")
    };
    assert_eq!(error.error_code, Code::NotFound as i32);
}

#[tokio::test]
async fn what_tonic_refuses_for_health_or_for_want_of_a_method_is_told_in_our_form() {
    let large = framed(&vec![b'x'; (4 << 20) + 1]);
    let refused = [
        (CHECK, framed(b"\xff"), Code::InvalidArgument, Reason::BodyUnreadable),
        (WATCH, framed(b"\xff"), Code::InvalidArgument, Reason::BodyUnreadable),
        (CHECK, Vec::new(), Code::InvalidArgument, Reason::BodyUnreadable),
        (CHECK, large, Code::OutOfRange, Reason::MessageTooLarge),
        ("/grpc.health.v1.Health/Nothing", check(""), Code::Unimplemented, Reason::MethodUnknown),
        ("/hand.v1.Written/Nothing", framed(b""), Code::Unimplemented, Reason::MethodUnknown),
        ("/hand.v2.Written/Answer", framed(b""), Code::Unimplemented, Reason::MethodUnknown),
    ];
    for (path, body, code, reason) in refused {
        let answer = shop().call(Sent::new(path, body)).await;
        assert_eq!((answer.code(), answer.details().0.reason), (code, reason.code().to_owned()));
    }
    for path in [CHECK, REFLECT] {
        let sent = Sent::new(path, check("")).with("grpc-encoding", "gzip");
        let answer = shop().call(sent).await;
        assert_eq!(
            (answer.code(), answer.details().1.code.as_str()),
            (Code::Unimplemented, Reason::BodyUnreadable.code())
        );
    }
}

#[tokio::test]
async fn a_deadline_that_is_malformed_is_refused_whoever_serves_the_method() {
    for path in [CHECK, REFLECT, ANSWER] {
        let answer = shop().call(Sent::new(path, framed(b"\0")).with("grpc-timeout", "soon")).await;
        let told = (answer.code(), answer.details().0.reason);
        assert_eq!(told, (Code::InvalidArgument, Reason::InvalidRequest.code().to_owned()));
    }
}

#[tokio::test]
async fn of_the_mark_nothing_is_on_the_wire() {
    const PLACE_ORDER: &str = "/sagamesh.checkout.v1.CheckoutService/PlaceOrder";
    let known = ["content-type", "grpc-status", "grpc-message", "grpc-status-details-bin"];
    // submit_token "t", user_id "ada", one line of { sku "tea", quantity 1 }
    let order = framed(b"\x0a\x01t\x12\x03ada\x1a\x07\x0a\x03tea\x10\x01");
    let calls = [
        (PLACE_ORDER, framed(b"")),
        (PLACE_ORDER, framed(b"\xff")),
        (PLACE_ORDER, order),
        (CHECK, check("nobody")),
        (CHECK, check("")),
        ("/nowhere.v1.None/Nothing", Vec::new()),
    ];
    for (path, body) in calls {
        let answer = shop().call(Sent::new(path, body)).await;
        let entries = answer.entries();
        assert!(entries.iter().all(|entry| known.contains(entry)), "{path}: {entries:?}");
    }
}
