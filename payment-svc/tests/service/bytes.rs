//! Messages of programs that know more fields than this one, and of those that know fewer: a request is told by the bytes
//! that came, and an answer is the bytes that are stored.

use bytes::Bytes;
use participant::{Direction, Key, request::Fingerprint};
use prost::Message;
use proto::{
    Response,
    facade::v1::ResultInfo,
    payment::v1::{ChargeResponse, RefundResponse, TopUpResponse},
};
use stage::{UNKNOWN_FIELD, name_of, refused, traced};
use tonic::{Code, Request};

use crate::till::{Till, charge, refund, step, top_up, undo};

const CHARGE: &str = "/sagamesh.payment.v1.PaymentService/Charge";
const REFUND: &str = "/sagamesh.payment.v1.PaymentService/Refund";
const TOP_UP: &str = "/sagamesh.payment.v1.PaymentService/TopUp";

/// The request's bytes, with a field that the service does not know.
fn with_more<Q: Message>(request: Request<Q>) -> Request<Vec<u8>> {
    request.map(|message| [message.encode_to_vec().as_slice(), UNKNOWN_FIELD].concat())
}

fn encoded<Q: Message>(request: Request<Q>) -> Request<Vec<u8>> {
    request.map(|message| message.encode_to_vec())
}

/// One write of each kind, with a field that the service does not know.
fn writes() -> [(&'static str, Request<Vec<u8>>, Key); 3] {
    let step_key = |direction| {
        Key::step("s1", name_of::<proto::payment::v1::ChargeRequest>(), direction).unwrap()
    };
    [
        (
            TOP_UP,
            with_more(Request::new(top_up("r", "ada", 5))),
            Key::request_of(&TOP_UP[1..], "ada", "r"),
        ),
        (CHARGE, with_more(step("s1", charge("ada", "O-1", 30))), step_key(Direction::Forward)),
        (REFUND, with_more(undo("s1", refund("O-1"))), step_key(Direction::Undo)),
    ]
}

fn copy(request: &Request<Vec<u8>>) -> Request<Vec<u8>> {
    let mut copy = Request::new(request.get_ref().clone());
    *copy.metadata_mut() = request.metadata().clone();
    copy
}

async fn stored_hash(till: &Till, key: &Key) -> Vec<u8> {
    sqlx::query_scalar("select request_hash from inbox where key = $1")
        .bind(key.text())
        .fetch_one(&mut till.disk(true).await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_request_is_known_again_by_the_bytes_that_came() {
    let till = Till::open().await;
    till.has("ada", 100).await;
    for (path, request, key) in writes() {
        let first = till.raw(path, traced("1", copy(&request))).await.unwrap();
        let second = till.raw(path, traced("2", copy(&request))).await.unwrap();
        assert_eq!(first, second, "{path}");
        // Whatever fields the next version of the service knows, it meets this fingerprint.
        let fingerprint = Fingerprint::of(&path[1..], request.get_ref());
        assert_eq!(stored_hash(&till, &key).await, fingerprint.0, "{path}");
    }
    let till = till.reopened().await;
    for (path, request, _) in writes() {
        till.raw(path, copy(&request)).await.unwrap();
    }
    assert_eq!(till.cents("ada").await, 105);
}

#[tokio::test]
async fn the_same_request_in_other_bytes_is_another_request() {
    let till = Till::open().await;
    till.has("ada", 100).await;
    for (path, request, _) in writes() {
        till.raw(path, request).await.unwrap();
    }
    let others = [
        (TOP_UP, encoded(Request::new(top_up("r", "ada", 5)))),
        (CHARGE, encoded(step("s1", charge("ada", "O-1", 30)))),
        (REFUND, encoded(undo("s1", refund("O-1")))),
    ];
    for (path, other) in others {
        refused(till.raw(path, other).await, Code::FailedPrecondition, "KEY_REUSED");
    }
    assert_eq!(till.cents("ada").await, 105);
}

/// Gives the stored answer a field that the service does not know; gives its bytes.
async fn with_more_in_answer(till: &Till, key: &Key) -> Vec<u8> {
    let mut disk = till.disk(false).await;
    let answer: Vec<u8> = sqlx::query_scalar("select answer from inbox where key = $1")
        .bind(key.text())
        .fetch_one(&mut disk)
        .await
        .unwrap();
    let answer = [answer.as_slice(), UNKNOWN_FIELD].concat();
    let update = sqlx::query("update inbox set answer = $1 where key = $2");
    update.bind(&answer).bind(key.text()).execute(&mut disk).await.unwrap();
    answer
}

/// What a response says beside its result, as bytes, and the result's code and trace.
fn taken_apart<R: Message + Default + Response>(answer: &Bytes) -> (Vec<u8>, String, String) {
    let response = R::decode(answer.clone()).unwrap();
    let result = response.result().unwrap().clone();
    let mut tail = Vec::new();
    prost::encoding::message::encode(1, &result, &mut tail);
    let rest = answer.strip_suffix(tail.as_slice()).expect("the result stands at the end");
    let ResultInfo { code, trace_id, .. } = result;
    (rest.to_vec(), code, trace_id)
}

#[tokio::test]
async fn a_stored_answer_is_given_again_with_fields_that_only_a_newer_program_knows() {
    let till = Till::open().await;
    till.has("ada", 100).await;
    for (path, request, key) in writes() {
        till.raw(path, traced("1", copy(&request))).await.unwrap();
        let stored = with_more_in_answer(&till, &key).await;
        let again = till.raw(path, traced("2", request)).await.unwrap();
        let (payload, code, trace_id) = match path {
            CHARGE => taken_apart::<ChargeResponse>(&again),
            REFUND => taken_apart::<RefundResponse>(&again),
            _ => taken_apart::<TopUpResponse>(&again),
        };
        assert_eq!(payload, stored, "{path}");
        assert_eq!((code.as_str(), trace_id), ("OK", "1".repeat(32)), "{path}");
    }
}
