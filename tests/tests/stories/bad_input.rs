//! Requests that break rules: all violations at once, by path, and nothing written.

use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use proto::{
    checkout::v1::{Line, PlaceOrderRequest, PlaceOrderResponse},
    payment::v1::TopUpRequest,
    saga::v1::{ListSagasRequest, SagaState, StartSagaRequest, WaitSagaRequest},
};
use stage::{paths, reason};
use tests::{
    Mesh, channel,
    shop::{code, euros, order},
};
use tonic::{Code, Request, Status};

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_order_is_told_all_that_is_wrong_and_starts_no_saga() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let before = mesh.balances().await;
    let request = PlaceOrderRequest {
        submit_token: "t".repeat(65),
        user_id: "no spaces, please".to_owned(),
        lines: vec![
            Line { sku: "tea".to_owned(), quantity: 0 },
            Line { sku: "tea".to_owned(), quantity: i64::MAX },
            Line { sku: String::new(), quantity: -1 },
        ],
        points: -5,
    };
    let refused = mesh.checkout().place_order(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        paths(&refused),
        [
            "lines",
            "lines[0].quantity",
            "lines[1].quantity",
            "lines[2].quantity",
            "lines[2].sku",
            "points",
            "submit_token",
            "user_id"
        ]
    );
    let empty = mesh.checkout().place_order(PlaceOrderRequest::default()).await.unwrap_err();
    assert_eq!(paths(&empty), ["lines", "submit_token", "user_id"]);
    let mut many = order("t", "ada", "tea", 1);
    many.lines = (0..2_000).map(|number| Line { sku: format!("s{number}"), quantity: 1 }).collect();
    assert_eq!(paths(&mesh.checkout().place_order(many).await.unwrap_err()), ["lines"]);
    assert_eq!(mesh.balances().await, before);
    assert!(mesh.sagas_in(&[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_that_no_book_can_hold_is_declined() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    mesh.add_goods("star", 1_000_000_000_000, 1_000_000).await;
    mesh.add_goods("moon", 1_000_000_000_000, 1_000_000_000).await;
    let mut request = order("t", "ada", "star", 1_000_000);
    request.lines.push(Line { sku: "moon".to_owned(), quantity: 1_000_000 });
    let declined = mesh.place(request).await;
    let code = code(declined.result.as_ref());
    assert!(code == "AMOUNT_OUT_OF_RANGE" || code == "INSUFFICIENT_FUNDS", "{declined:?}");
    assert_eq!(mesh.units("star").await.frozen, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_of_nothing_and_of_too_much_are_refused_before_anything_is_written() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    for (amount, broken) in [
        (euros(0), "amount.minor_units"),
        (euros(-1), "amount.minor_units"),
        (euros(i64::MAX), "amount.minor_units"),
        (None, "amount"),
    ] {
        let request =
            TopUpRequest { request_id: "r".to_owned(), user_id: "ada".to_owned(), amount };
        let refused = mesh.payments().top_up(request).await.unwrap_err();
        assert!(paths(&refused).contains(&broken.to_owned()), "{refused:?}");
    }
    assert_eq!(mesh.wallet("ada").await, 10_000);
}

/// Calls a method with bytes as they are; `mode` is how a failure is to be told.
async fn raw(
    mesh: &Mesh,
    path: &'static str,
    body: &'static [u8],
    mode: &'static str,
) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel(mesh.addresses().orchestrator));
    client.ready().await.unwrap();
    let mut request = Request::new(Bytes::from_static(body));
    request.metadata_mut().insert("x-response-mode", mode.parse().unwrap());
    let answer = client.unary(request, PathAndQuery::from_static(path), facade::codec::Raw).await?;
    Ok(answer.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let mesh = Mesh::start().await;
    for path in [
        "/sagamesh.checkout.v1.CheckoutService/PlaceOrder",
        "/sagamesh.saga.v1.SagaService/GetSaga",
        "/sagamesh.saga.v1.SagaService/WatchSaga",
    ] {
        for body in [&b"\xff\xff\xff"[..], b"\x0a\x7f", b"\x08"] {
            let status = raw(&mesh, path, body, "").await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{path}: {status:?}");
            assert_eq!(reason(&status), "BODY_UNREADABLE", "{path}");
            // Every response has its result in field 1.
            let envelope = raw(&mesh, path, body, "envelope").await.unwrap();
            let response = PlaceOrderResponse::decode(envelope).unwrap();
            assert_eq!(code(response.result.as_ref()), "BODY_UNREADABLE", "{path}");
        }
    }
    for path in
        ["/sagamesh.checkout.v1.CheckoutService/Nothing", "/sagamesh.saga.v1.SagaService/Nothing"]
    {
        let unknown = raw(&mesh, path, b"", "envelope").await.unwrap_err();
        assert_eq!(
            (unknown.code(), reason(&unknown).as_str()),
            (Code::Unimplemented, "METHOD_UNKNOWN")
        );
    }
    assert!(mesh.sagas_in(&[SagaState::Running]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_larger_than_its_rules_allow_is_refused() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let mut request = order("t", "ada", "tea", 1);
    request.submit_token = "t".repeat(5 << 20);
    let refused = mesh.checkout().place_order(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    assert_eq!(reason(&refused), "MESSAGE_TOO_LARGE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_of_a_start_is_counted_before_it_is_parsed_and_what_it_echoes_is_cut() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let start = async |input_json: String| {
        let request = StartSagaRequest {
            definition: "place-order".to_owned(),
            input_json,
            ..StartSagaRequest::default()
        };
        mesh.sagas().start_saga(request).await.unwrap_err()
    };
    let refused = start(format!(r#"{{"lines": [{}1]}}"#, "1,".repeat(300_000))).await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::OutOfRange, "MESSAGE_TOO_LARGE")
    );
    assert!(refused.message().contains("limits.requests.max_fields"), "{refused:?}");
    // Large, few values, and a name that is no field: read beside the event loop.
    let refused = start(format!(r#"{{"{}": 1}}"#, "x".repeat(500_000))).await;
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::InvalidArgument, "INVALID_REQUEST")
    );
    assert!(refused.message().len() < 1_000 && refused.details().len() < 4_096);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_may_have_its_failures_in_an_envelope() {
    let mesh = Mesh::start().await;
    let mut request = Request::new(order("t", "ada", "tea", 0));
    request.metadata_mut().insert("x-response-mode", "envelope".parse().unwrap());
    let answer = mesh.checkout().place_order(request).await.unwrap().into_inner();
    let result = answer.result.unwrap();
    assert_eq!((result.success, result.code.as_str()), (false, "INVALID_REQUEST"));
    assert!(result.message.contains("lines[0].quantity"), "{}", result.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_broken_input_is_refused() {
    let mesh = Mesh::start().await;
    let start = |definition: &str, key: &str, input: &str| StartSagaRequest {
        definition: definition.to_owned(),
        key: key.to_owned(),
        input_json: input.to_owned(),
        version: 0,
    };
    for (input, path) in [
        ("{", "input_json"),
        ("[]", "input_json"),
        (r#"{"submit_tokn": "t"}"#, "input_json"),
        (r#"{"points": "many"}"#, "input_json.points"),
        (r#"{"points": 1e400}"#, "input_json.points"),
        (r#"{"points": 1, "points": 1}"#, "input_json.points"),
        (r#"{"lines": [{"quantity": 1}, {"quantity": 0.5}]}"#, "input_json.lines[1].quantity"),
    ] {
        let refused = mesh.sagas().start_saga(start("place-order", "", input)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{input}");
        assert_eq!(paths(&refused), [path]);
    }
    let unknown = mesh.sagas().start_saga(start("no-such", "k", "{}")).await;
    stage::refused(unknown, Code::NotFound, "DEFINITION_UNKNOWN");
    let broken =
        r#"{"submit_token": "t", "user_id": "a b", "lines": [{"sku": "tea", "quantity": 0}]}"#;
    let refused = mesh.sagas().start_saga(start("place-order", "", broken)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(mesh.sagas_in(&[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_no_contract_allows_are_refused_by_their_field() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let saga_id = mesh.place(order("t", "ada", "tea", 1)).await.saga_id;
    let extremes = [(i64::MIN, 0), (i64::MIN, i32::MIN), (0, -1), (0, i32::MAX), (i64::MAX, 0)];
    for (seconds, nanos) in extremes {
        let timeout = Some(prost_types::Duration { seconds, nanos });
        let request =
            WaitSagaRequest { saga_id: saga_id.clone(), timeout, ..WaitSagaRequest::default() };
        let refused = mesh.sagas().wait_saga(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert_eq!(paths(&refused), ["timeout"]);

        let started_after = Some(prost_types::Timestamp { seconds, nanos });
        let request = ListSagasRequest { started_after, ..ListSagasRequest::default() };
        let refused = mesh.sagas().list_sagas(request).await.unwrap_err();
        assert_eq!(paths(&refused), ["started_after"], "{refused:?}");
    }
    let before_1970 = Some(prost_types::Timestamp { seconds: -1, nanos: 5 });
    let request = ListSagasRequest { started_after: before_1970, ..ListSagasRequest::default() };
    assert_eq!(mesh.sagas().list_sagas(request).await.unwrap().into_inner().sagas.len(), 1);
}
