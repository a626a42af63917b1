//! What a saga came to, what its steps sent and got, and which inputs never start one.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use facade::{Trace, page::PAGE_BYTES};
use orchestrator::driver::Requester;
use prost::Message;
use proto::saga::v1::{
    GetDefinitionRequest, GetSagaRequest, ListSagasRequest, Saga, SagaState, StartSagaRequest,
    WaitSagaRequest,
};
use serde_json::{Value, json};
use stage::paths;
use tonic::{Code, Status};

use crate::test_driver::{TestDriver, definition};

/// A whole number that no double is.
const EXACT: i64 = (1 << 53) + 1;

#[derive(Clone, PartialEq, Message)]
struct Job {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    secret: String,
    #[prost(int64, tag = "3")]
    amount: i64,
    #[prost(message, repeated, tag = "4")]
    parts: Vec<Job>,
    #[prost(map = "string, message", tag = "5")]
    by_name: HashMap<String, Job>,
}

fn answer(job: &Job) -> Result<Bytes, Status> {
    Ok(job.encode_to_vec().into())
}

fn secret(id: &str) -> Job {
    Job { id: id.to_owned(), secret: "4000".to_owned(), amount: EXACT, ..Job::default() }
}

/// A node whose definition has these two steps, and what stands behind them.
async fn open(freeze: &str, charge: &str, rest: &str) -> TestDriver {
    let step = |name: &str, with: &str, undo: &str| {
        format!("  - step: {name}\n    call: work.v1.Work/Do\n    with: {with}\n{undo}")
    };
    let undo =
        "    undo: work.v1.Work/Undo\n    undo_with: { id: saga.reason_code, secret: saga.key }\n";
    let steps = [step("freeze", freeze, undo), step("charge", charge, "")];
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    TestDriver::open(&(definition("", &steps) + rest)).await
}

async fn try_start(test_driver: &TestDriver, key: &str, input: &Value) -> Result<String, Status> {
    let request = StartSagaRequest {
        definition: "work".to_owned(),
        key: key.to_owned(),
        input_json: input.to_string(),
        ..StartSagaRequest::default()
    };
    Ok(test_driver.sagas().start_saga(request).await?.into_inner().saga_id)
}

async fn with_payloads(test_driver: &TestDriver, saga_id: &str) -> Saga {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: true };
    test_driver.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

#[tokio::test]
async fn a_saga_that_succeeded_says_what_it_came_to_and_its_numbers_are_exact() {
    let output = "output: { amount: charge.amount, more: charge.amount + 1, code: charge.secret, \
                  frozen: freeze, guest: request.guest, n: request.n }\n";
    let mut test_driver = open("{}", "{}", output).await;
    let saga_id = try_start(&test_driver, "k", &json!({"guest": "ada", "n": EXACT})).await.unwrap();
    test_driver.called("freeze forward").await.say(answer(&secret("f")));
    let charge = test_driver.called("charge forward").await;
    let running = test_driver.get(&saga_id).await;
    assert_eq!((running.output_json.as_str(), running.output_problem.as_str()), ("", ""));
    charge.say(answer(&secret("c")));
    let saga = test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let expected = r#"{"amount":"9007199254740993","more":"9007199254740994","code":"4000","#
        .to_owned()
        + r#""frozen":{"id":"f","secret":"[redacted]","amount":"9007199254740993"},"guest":"ada","n":9007199254740993}"#;
    assert_eq!((saga.output_json.as_str(), saga.output_problem.as_str()), (expected.as_str(), ""));

    let wait = WaitSagaRequest { saga_id, ..WaitSagaRequest::default() };
    let waited = test_driver.sagas().wait_saga(wait).await.unwrap().into_inner().saga.unwrap();
    assert_eq!(waited.output_json, expected);
    let listed = test_driver.sagas().list_sagas(ListSagasRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().sagas[0].output_json, "", "lists have no content");
}

#[tokio::test]
async fn without_an_output_the_last_response_is_it_and_a_saga_that_turned_back_has_none() {
    let mut test_driver = open("{}", "{}", "").await;
    let saga_id = try_start(&test_driver, "k", &json!({})).await.unwrap();
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(answer(&secret("c")));
    let saga = test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let expected = r#"{"id":"c","secret":"[redacted]","amount":"9007199254740993"}"#;
    assert_eq!(saga.output_json, expected);

    let saga_id = try_start(&test_driver, "other", &json!({})).await.unwrap();
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.say(Err(Status::failed_precondition("no")));
    test_driver.called("freeze undo").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert_eq!((saga.output_json.as_str(), saga.output_problem.as_str()), ("", ""));
}

#[tokio::test]
async fn an_output_that_cannot_be_worked_out_holds_nothing_and_says_why() {
    let mut test_driver = open("{}", "{}", "output: { n: 1 / charge.amount }\n").await;
    let saga_id = try_start(&test_driver, "k", &json!({})).await.unwrap();
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Succeeded).await;
    assert_eq!(saga.output_json, "");
    let expected = "0.yaml:14:14: `1 / charge.amount`: division by zero";
    assert!(saga.output_problem.ends_with(expected), "{}", saga.output_problem);
}

#[tokio::test]
async fn an_output_that_no_client_takes_is_told_instead_of_cut() {
    let mut test_driver = open("{}", "{}", "").await;
    let saga_id = try_start(&test_driver, "k", &json!({})).await.unwrap();
    test_driver.called("freeze forward").await.done();
    let large = Job { id: "x".repeat(PAGE_BYTES), ..Job::default() };
    test_driver.called("charge forward").await.say(answer(&large));
    let saga = test_driver.stands(&saga_id, SagaState::Succeeded).await;
    assert_eq!(saga.output_json, "");
    let why = &saga.output_problem;
    assert!(why.contains("bytes of JSON: let `output` name the fields"), "{why}");
}

#[tokio::test]
async fn payloads_are_what_was_sent_and_got_without_what_is_marked_and_only_where_asked_for() {
    let freeze = "{ id: request.guest, secret: request.pin, amount: 5, \
                  parts: [{ secret: \"string(request.card.pin)\" }] }";
    let mut test_driver = open(freeze, "{ parts: [freeze] }", "").await;
    let input = json!({"guest": "ada", "pin": "4000", "card": {"pin": "4000", "no": 5}});
    let saga_id = try_start(&test_driver, "a-key", &input).await.unwrap();
    let frozen = Job {
        parts: vec![secret("p")],
        by_name: [("n".to_owned(), secret("m"))].into(),
        ..secret("f")
    };
    test_driver.called("freeze forward").await.say(answer(&frozen));
    test_driver.called("charge forward").await.say(Err(Status::failed_precondition("no")));
    test_driver.called("freeze undo").await.say(answer(&secret("u")));
    let plain = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert!(
        plain.input_json.is_empty() && plain.steps.iter().all(|step| step.request_json.is_empty())
    );

    let saga = with_payloads(&test_driver, &saga_id).await;
    let [freeze, charge] = saga.steps.as_slice() else { panic!("{saga:?}") };
    let input =
        json!({"guest": "ada", "pin": "[redacted]", "card": {"pin": "[redacted]", "no": 5}});
    assert_eq!(read(&saga.input_json), input, "what goes into a marked field is hidden too");
    assert_eq!(
        read(&freeze.request_json),
        json!({"id": "ada", "secret": "[redacted]", "amount": "5", "parts": [{"secret": "[redacted]"}]})
    );
    let hidden = |id: &str| json!({"id": id, "secret": "[redacted]", "amount": "9007199254740993"});
    let mut frozen = hidden("f");
    frozen["parts"] = json!([hidden("p")]);
    frozen["by_name"] = json!({"n": hidden("m")});
    assert_eq!(read(&freeze.response_json), frozen);
    assert_eq!(
        read(&freeze.undo_request_json),
        json!({"id": "FAILED_PRECONDITION", "secret": "[redacted]"})
    );
    assert_eq!(read(&freeze.undo_response_json), hidden("u"));
    assert_eq!(read(&charge.request_json), json!({"parts": [frozen]}));
    assert_eq!((charge.response_json.as_str(), charge.undo_request_json.as_str()), ("", ""));
    assert!(saga.steps.iter().all(|step| step.payload_problem.is_empty()), "{saga:?}");
}

#[tokio::test]
async fn payloads_of_a_journal_that_cannot_be_read_are_told_to_be_missing() {
    let mut test_driver = open("{}", "{}", "").await;
    let saga_id = try_start(&test_driver, "k", &json!({})).await.unwrap();
    test_driver.called("freeze forward").await.done();
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let database = test_driver.journal.database();
    let cut = "delete from event";
    database.write(move |connection| connection.execute(cut, ())).await.unwrap();
    let saga = with_payloads(&test_driver, &saga_id).await;
    assert_eq!((saga.reason.as_str(), saga.output_json.as_str()), ("JOURNAL_UNREADABLE", ""));
    let expected = "no payloads are shown: the saga's journal or definition cannot be read";
    assert_eq!(saga.input_problem, expected);
}

#[tokio::test]
async fn payloads_that_find_no_room_are_cut_with_a_mark_and_the_small_ones_are_whole() {
    let mut test_driver =
        open("{ id: request.guest }", "{ parts: [freeze], id: freeze.id }", "").await;
    let saga_id = try_start(&test_driver, "k", &json!({"guest": "ada"})).await.unwrap();
    let large = Job {
        id: "\u{1}".repeat(PAGE_BYTES / 4),
        parts: vec![secret("p"); 5_000],
        ..Job::default()
    };
    test_driver.called("freeze forward").await.say(answer(&large));
    test_driver.called("charge forward").await.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
    let saga = with_payloads(&test_driver, &saga_id).await;
    assert!(saga.encoded_len() < PAGE_BYTES + 4_096, "{}", saga.encoded_len());
    let [freeze, charge] = saga.steps.as_slice() else { panic!("{saga:?}") };
    assert_eq!(read(&freeze.request_json), json!({"id": "ada"}));
    assert_eq!(charge.response_json, "{}");
    for (json, step, field) in [
        (&freeze.response_json, freeze, "response_json"),
        (&charge.request_json, charge, "request_json"),
    ] {
        assert!(read(json).to_string().contains("cut: "), "it is JSON still");
        assert!(
            step.payload_problem.starts_with(&format!("{field} is cut: ")),
            "{}",
            step.payload_problem
        );
        assert!(json.len() > PAGE_BYTES / 3, "the room is used: {}", json.len());
    }
}

#[tokio::test]
async fn an_input_with_which_no_saga_succeeds_is_refused_with_all_that_is_wrong_and_starts_none() {
    let with = "{ id: request.order.no, amount: request.amount, note: request.note }";
    let test_driver = open(with, "{}", "").await;
    let refused =
        try_start(&test_driver, "k", &json!({"amount": "many", "other": 5})).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(paths(&refused), ["input_json.amount", "input_json.note", "input_json.order"]);
    let listed = test_driver.sagas().list_sagas(ListSagasRequest::default()).await.unwrap();
    assert!(listed.into_inner().sagas.is_empty());

    let request = GetDefinitionRequest { name: "work".to_owned(), version: 0 };
    let found = test_driver.sagas().get_definition(request).await.unwrap().into_inner();
    let expected = "{ order: { no: string }, amount: int64, note: string }";
    assert_eq!(found.definition.unwrap().input, expected);
    let right = json!({"amount": 5, "order": {"no": "o"}, "note": null});
    try_start(&test_driver, "k", &right).await.unwrap();
}

#[tokio::test]
async fn a_saga_that_was_started_before_its_input_was_looked_at_is_found_again() {
    let mut test_driver = open("{ id: request.order_no }", "{}", "").await;
    let work = test_driver.driver().registry().find("work", 0).unwrap().compiled;
    let input = work.request_from_json("{}").unwrap();
    let trace = Trace::start();
    let requester = Requester::default();
    let driver = test_driver.driver().clone();
    driver.start(Arc::clone(&work), "k".to_owned(), input, &trace, &requester).await.unwrap();
    let saga_id = try_start(&test_driver, "k", &json!({})).await.unwrap();
    let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert_eq!(saga.reason, "EXPRESSION_FAILED");
    assert!(try_start(&test_driver, "another", &json!({})).await.is_err());
    try_start(&test_driver, "right", &json!({"order_no": "o"})).await.unwrap();
    test_driver.called("freeze forward").await.done();
}
