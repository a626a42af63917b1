//! `metadata` of a step.

use definition::{Compiled, EvaluationError, Facts, Identity, metadata};
use http::{HeaderMap, HeaderName};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use saga::StepId;

use crate::shop::{compile, descriptors, problems};

const PAY: StepId = StepId(1);

fn source(metadata: &str) -> String {
    format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n- step: take\n  call: shop.v1.Everything/Take\n\
         - step: pay\n  call: shop.v1.Bank/Charge\n  undo: shop.v1.Bank/Refund\n  metadata: {metadata}\n"
    )
}

fn all(json: &str) -> Vec<u8> {
    let mut json = serde_json::Deserializer::from_str(json);
    let descriptor = descriptors().message("shop.v1.All").unwrap();
    DynamicMessage::deserialize(descriptor, &mut json).unwrap().encode_to_vec()
}

fn with_facts<T>(metadata: &str, request: &str, judge: impl Fn(&Compiled, &Facts<'_>) -> T) -> T {
    let compiled = compile(&source(metadata));
    let (request, taken) = (all(request), all(r#"{"text":"7"}"#));
    let identity = Identity { id: "s-1", ..Identity::default() };
    let facts = compiled.facts(identity, &request).with_response(StepId(0), &taken);
    judge(&compiled, &facts)
}

fn sent(metadata: &str, request: &str) -> Result<HeaderMap, EvaluationError> {
    with_facts(metadata, request, |compiled, facts| compiled.metadata(PAY, facts))
}

#[test]
fn each_entry_is_what_its_expression_gives_and_is_kept_secret() {
    let metadata = "{ x-tenant: request.text, x-order: \"saga.id + '/' + take.text\", \
                    trace-bin: request.raw, sum-bin: \"'AQI='\" }";
    let headers = sent(metadata, r#"{"text":"acme","raw":"AQID"}"#).unwrap();
    let mut entries: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    entries.sort_unstable();
    let expected =
        [("sum-bin", "AQI"), ("trace-bin", "AQID"), ("x-order", "s-1/7"), ("x-tenant", "acme")];
    assert_eq!(entries, expected);
    assert!(!format!("{headers:?}").contains("acme"));
}

#[test]
fn what_cannot_be_sent_is_a_fault_before_the_call_and_before_the_undo() {
    for (metadata, request, expected) in [
        (
            "{ x-name: request.text }",
            r#"{"text":"Zoë"}"#,
            "the value of `x-name` has a character at place 3 that is no printable ASCII; a name that ends with -bin takes any bytes",
        ),
        (
            "{ x-name: request.text }",
            r#"{"text":"a\r\nsaga-id: b"}"#,
            "the value of `x-name` has a character at place 2 that is no printable ASCII; a name that ends with -bin takes any bytes",
        ),
        ("{ x-bin: request.text }", r#"{"text":"no base64"}"#, "the value of `x-bin` is no base64"),
        ("{ x-name: string(request.object.of) }", "{}", "no key `of`"),
    ] {
        let faults = with_facts(metadata, request, |compiled, facts| {
            [
                compiled.metadata(PAY, facts).unwrap_err(),
                compiled.prepare_call(PAY, facts).unwrap_err(),
                compiled.prepare_undo(PAY, facts).unwrap_err(),
            ]
        });
        for fault in faults {
            assert_eq!(fault.what, expected, "{metadata}");
            assert_eq!(fault.line, 10);
        }
    }
}

#[test]
fn the_entries_of_a_call_have_a_limit_together() {
    let long = |bytes: usize| format!(r#"{{"text":"{}"}}"#, "x".repeat(bytes));
    // Two names and what HTTP/2 counts for each.
    let room = metadata::MAX_METADATA - 2 * (3 + 32);
    let metadata = "{ x-a: request.text, x-b: request.text }";
    assert!(sent(metadata, &long(room / 2)).is_ok());
    let fault = sent(metadata, &long(room / 2 + 1)).unwrap_err();
    assert_eq!(fault.what, "with this the metadata have more than 8192 bytes");
}

#[test]
fn a_name_or_a_value_that_cannot_be_is_refused_with_its_place_and_cure() {
    let reserved = |name: &str, at: usize| {
        format!(
            "t.yaml:10:{at}: `{name}` is written by the orchestrator or by gRPC; use a name of your own, such as `x-tenant`"
        )
    };
    for name in [
        "saga-id",
        "saga-anything",
        "idempotency-key",
        "grpc-timeout",
        "te",
        "content-type",
        "host",
        "traceparent",
        "':authority'",
    ] {
        let at = 15 + usize::from(name.starts_with('\''));
        let problems = problems(&source(&format!("{{ {name}: saga.id }}")));
        assert_eq!(problems, [reserved(name.trim_matches('\''), at.min(15))], "{name}");
    }
    let cases: &[(&str, &[&str])] = &[
        (
            "{ X-Tenant: saga.id }",
            &[
                "t.yaml:10:15: `X-Tenant` is no name of metadata; write small letters, digits, dashes, underscores and dots",
            ],
        ),
        (
            "{ 'a b': saga.id }",
            &[
                "t.yaml:10:15: `a b` is no name of metadata; write small letters, digits, dashes, underscores and dots",
            ],
        ),
        (
            "{ x-tenant: request.big }",
            &["t.yaml:10:25: `x-tenant` wants string, got int; convert it: string(…)"],
        ),
        (
            "{ x-tenant: acme }",
            &[
                "t.yaml:10:25: nothing is called `acme` here; a text is written in quotes of its own: \"'acme'\"",
            ],
        ),
        (
            "{ x-raw: request.raw }",
            &["t.yaml:10:22: `x-raw` wants string, got bytes; convert it: string(…)"],
        ),
        (
            "{ x-bin: request.big }",
            &["t.yaml:10:22: `x-bin` wants bytes, got int; convert it: bytes(…)"],
        ),
        (
            "{ x-tenant: [saga.id] }",
            &[
                "t.yaml:10:25: `x-tenant` is a list, not an expression; write one expression that gives its value",
            ],
        ),
        (
            "{ x-tenant: pay.payment_no }",
            &[
                "t.yaml:10:25: `pay` cannot use its own response; use the response of a step before it",
            ],
        ),
        (
            "x-tenant",
            &[
                "t.yaml:10:13: `metadata` is a text, not a mapping; write `metadata: { x-tenant: request.tenant }`",
            ],
        ),
    ];
    for (metadata, expected) in cases {
        assert_eq!(problems(&source(metadata)), *expected, "{metadata}");
    }
}

#[test]
fn a_value_that_is_refused_is_not_told() {
    let refused = metadata::value(&HeaderName::from_static("x-key"), "geheim\u{0}").unwrap_err();
    assert!(!refused.contains("geheim"), "{refused}");
}
