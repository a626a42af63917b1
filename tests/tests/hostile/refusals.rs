//! Which status a no has: lookups, operators' orders and writes outside a saga speak gRPC's own codes. Only saga steps, and
//! the methods that sagas serve, decline in their response.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use prost_reflect::DynamicMessage;
use proto::facade::v1::ResultInfo;
use stage::result_of;
use tests::{
    Mesh,
    shop::{code, order},
};
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::StatusExt;

use crate::rpc::{self, Lines, Rpc};

/// No saga has this id.
const UNKNOWN_SAGA: &str = "01a1fc83-9174-7037-aca6-b77ab92c89c2";

/// A method, a request of it as JSON in which SAGA and ORDER stand for ids, and the status and reason that it comes to.
type Row = (&'static str, &'static str, Code, &'static str);

const UNKNOWN: [Row; 30] = [
    ("SagaService/StartSaga", r#"{"definition": "x", "key": "k"}"#, NF, "DEFINITION_UNKNOWN"),
    ("SagaService/GetSaga", r#"{"saga_id": "SAGA"}"#, NF, "SAGA_UNKNOWN"),
    ("SagaService/WaitSaga", r#"{"saga_id": "SAGA"}"#, NF, "SAGA_UNKNOWN"),
    ("SagaService/WatchSaga", r#"{"saga_id": "SAGA"}"#, NF, "SAGA_UNKNOWN"),
    ("SagaService/CancelSaga", STEERED, NF, "SAGA_UNKNOWN"),
    ("SagaService/RetrySaga", STEERED, NF, "SAGA_UNKNOWN"),
    ("SagaService/PauseSaga", STEERED, NF, "SAGA_UNKNOWN"),
    ("SagaService/ResumeSaga", STEERED, NF, "SAGA_UNKNOWN"),
    ("SagaService/ResolveSaga", STEERED, NF, "SAGA_UNKNOWN"),
    ("SagaService/SkipStep", SKIPPED, NF, "SAGA_UNKNOWN"),
    ("SagaService/GetDefinition", r#"{"name": "x"}"#, NF, "DEFINITION_UNKNOWN"),
    ("SagaService/DefinitionDrift", r#"{"name": "x"}"#, NF, "DEFINITION_UNKNOWN"),
    ("SagaService/GetCompensationStats", r#"{"definition": "x"}"#, NF, "DEFINITION_UNKNOWN"),
    (
        "SagaService/GetDefinition",
        r#"{"name": "place-order", "version": 9}"#,
        NF,
        "DEFINITION_UNKNOWN",
    ),
    ("SagaService/ArchiveDefinition", r#"{"name": "x"}"#, NF, "DEFINITION_UNKNOWN"),
    ("SagaService/UnarchiveDefinition", r#"{"name": "x"}"#, NF, "DEFINITION_UNKNOWN"),
    ("OrderService/GetOrder", r#"{"order_no": "O-9"}"#, NF, "ORDER_UNKNOWN"),
    ("OrderService/ShipOrder", r#"{"order_no": "O-9", "request_id": "r"}"#, NF, "ORDER_UNKNOWN"),
    (
        "OrderService/CompleteOrder",
        r#"{"order_no": "O-9", "request_id": "r"}"#,
        NF,
        "ORDER_UNKNOWN",
    ),
    ("StockService/GetProduct", r#"{"sku": "x"}"#, NF, "SKU_UNKNOWN"),
    ("StockService/GetStock", r#"{"sku": "x"}"#, NF, "SKU_UNKNOWN"),
    ("StockService/ListFlows", r#"{"sku": "x"}"#, NF, "SKU_UNKNOWN"),
    (
        "StockService/AddStock",
        r#"{"request_id": "r", "sku": "x", "quantity": "1"}"#,
        NF,
        "SKU_UNKNOWN",
    ),
    ("PointsService/GetAccount", r#"{"user_id": "x"}"#, NF, "USER_UNKNOWN"),
    ("PointsService/ListEntries", r#"{"user_id": "x"}"#, NF, "USER_UNKNOWN"),
    ("PointsService/SetStanding", r#"{"request_id": "r", "user_id": "x"}"#, NF, "USER_UNKNOWN"),
    (
        "PointsService/Earn",
        r#"{"request_id": "r", "user_id": "x", "points": "1"}"#,
        NF,
        "USER_UNKNOWN",
    ),
    ("PaymentService/GetWallet", r#"{"user_id": "x"}"#, NF, "WALLET_UNKNOWN"),
    ("PaymentService/GetPayment", r#"{"payment_no": "P-9"}"#, NF, "PAYMENT_UNKNOWN"),
    (
        "PaymentService/TopUp",
        r#"{"request_id": "r", "user_id": "x", "amount": {"currency": "EUR", "minor_units": "1"}}"#,
        NF,
        "WALLET_UNKNOWN",
    ),
];

/// Of ada's order, which is paid, and its saga, which has ended.
const STATES: [Row; 11] = [
    (
        "SagaService/RegisterDefinition",
        r#"{"source": "saga: place-order\nversion: 1\nsteps:\n  - step: look\n    call: sagamesh.stock.v1.StockService/GetProduct\n"}"#,
        Code::AlreadyExists,
        "ALREADY_EXISTS",
    ),
    ("SagaService/CancelSaga", STEERED, FP, "SAGA_STATE"),
    ("SagaService/RetrySaga", STEERED, FP, "SAGA_STATE"),
    ("SagaService/PauseSaga", STEERED, FP, "SAGA_STATE"),
    ("SagaService/ResumeSaga", STEERED, FP, "SAGA_STATE"),
    ("SagaService/ResolveSaga", STEERED, FP, "SAGA_STATE"),
    ("SagaService/SkipStep", SKIPPED, FP, "SAGA_STATE"),
    (
        "SagaService/SkipStep",
        r#"{"saga_id": "SAGA", "step": "nothing", "reason": "r"}"#,
        NF,
        "STEP_UNKNOWN",
    ),
    (
        "OrderService/CompleteOrder",
        r#"{"order_no": "ORDER", "request_id": "early"}"#,
        FP,
        "ORDER_STATE",
    ),
    (
        "PaymentService/OpenWallet",
        r#"{"request_id": "r", "user_id": "ada", "currency": "USD"}"#,
        FP,
        "CURRENCY_MISMATCH",
    ),
    (
        "PaymentService/TopUp",
        r#"{"request_id": "r2", "user_id": "ada", "amount": {"currency": "USD", "minor_units": "1"}}"#,
        FP,
        "CURRENCY_MISMATCH",
    ),
];

const STEERED: &str = r#"{"saga_id": "SAGA", "reason": "r"}"#;
const SKIPPED: &str = r#"{"saga_id": "SAGA", "step": "freeze_stock", "reason": "r"}"#;
const NF: Code = Code::NotFound;
const FP: Code = Code::FailedPrecondition;

/// Methods that decline in their response: saga steps, and what sagas serve.
const DECLINE: [&str; 17] = [
    "CheckoutService/PlaceOrder",
    "CheckoutService/CancelOrder",
    "OrderService/CreateOrder",
    "OrderService/MarkPaid",
    "OrderService/CancelOrder",
    "OrderService/BeginCancel",
    "OrderService/AbandonCancel",
    "OrderService/FinishCancel",
    "StockService/Quote",
    "StockService/Freeze",
    "StockService/Confirm",
    "StockService/Unfreeze",
    "StockService/Restock",
    "PointsService/GetMember",
    "PointsService/Deduct",
    "PointsService/Refund",
    "PaymentService/Charge",
];

/// The undo of a charge, and lists and writes that have nothing to say no to beside a broken request or a key that is used.
const OTHERS: [&str; 9] = [
    "PaymentService/Refund",
    "PaymentService/ListPayments",
    "OrderService/ListOrders",
    "StockService/ListProducts",
    "StockService/UpsertProduct",
    "PointsService/OpenAccount",
    "SagaService/ListSagas",
    "SagaService/ListDefinitions",
    "SagaService/CheckDefinition",
];

fn named(every: &[Rpc], name: &str) -> Rpc {
    let of = |rpc: &&Rpc| rpc.path.ends_with(&format!(".{name}"));
    every.iter().find(of).unwrap_or_else(|| panic!("no method is {name}")).clone()
}

async fn call(
    lines: &Lines,
    rpc: &Rpc,
    json: &str,
    mode: Option<&'static str>,
) -> Result<Bytes, Status> {
    let mut json = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(rpc.input.clone(), &mut json).unwrap();
    let mut metadata = MetadataMap::new();
    let trace = format!("00-{}-{}-01", "1".repeat(32), "1".repeat(16));
    metadata.insert("traceparent", trace.parse().unwrap());
    if let Some(mode) = mode {
        metadata.insert("x-response-mode", mode.parse().unwrap());
    }
    lines.call(rpc, message.encode_to_vec(), metadata).await
}

/// Checks a table's statuses, their details, and the envelopes of who asks for one.
async fn check(mesh: &Mesh, table: &[Row], saga_id: &str, order_no: &str) {
    let (lines, every) = (Lines::to(mesh), rpc::every());
    for (name, json, expected, reason) in table {
        let rpc = named(&every, name);
        let json = json.replace("SAGA", saga_id).replace("ORDER", order_no);
        let status = call(&lines, &rpc, &json, None).await.expect_err(name);
        assert_eq!(status.code(), *expected, "{name}: {status:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (*reason, "sagamesh"), "{name}");
        let told = ResultInfo {
            success: false,
            code: (*reason).to_owned(),
            message: status.message().to_owned(),
            trace_id: "1".repeat(32),
        };
        assert!(!told.message.is_empty(), "{name}");
        assert_eq!(result_of(&status), told, "{name}");
        let enveloped = call(&lines, &rpc, &json, Some("envelope")).await.expect(name);
        assert_eq!(rpc::result(&rpc, enveloped), told, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_does_not_exist_is_not_found_by_every_method_that_looks_for_it() {
    let mesh = Mesh::start().await;
    check(&mesh, &UNKNOWN, UNKNOWN_SAGA, "O-9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_state_does_not_allow_is_a_failed_precondition() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let placed = mesh.place_successfully(order("t-1", "ada", "tea", 1)).await;
    check(&mesh, &STATES, &placed.saga_id, &placed.order_no).await;
}

#[test]
fn every_method_has_a_place_in_these_tables() {
    let tabled = UNKNOWN.iter().chain(&STATES).map(|(name, ..)| *name);
    let known: BTreeSet<&str> = tabled.chain(DECLINE).chain(OTHERS).collect();
    for rpc in rpc::every() {
        let name = rpc.path.rsplit('.').next().unwrap();
        assert!(known.contains(name), "it is not said which status a no of {name} has");
    }
}

/// The order service answers NOT_FOUND to the saga's step; who cancels is told by the business.
#[tokio::test(flavor = "multi_thread")]
async fn a_served_method_declines_in_its_response_what_a_step_was_refused_by_status() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let cancelled = mesh.cancel(tests::shop::cancel("c-1", "ada", "O-none")).await;
    let result = cancelled.result.as_ref();
    assert_eq!((code(result).as_str(), result.unwrap().success), ("ORDER_UNKNOWN", false));
    let message = &result.unwrap().message;
    assert!(message.contains("order: no order has the number O-none"), "{message}");
}
