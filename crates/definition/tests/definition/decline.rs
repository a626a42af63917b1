//! `declined_if`: when the definition takes a response for a decline.

use definition::{Compiled, EvaluationError, Method};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use saga::{Reason, StepId};

use crate::shop::{compile, descriptors, problems};

const FREEZE: StepId = StepId(1);

/// Two steps, of which the second says what `lines` say, below what `head` says of participants.
fn source(head: &str, lines: &str) -> String {
    format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\n{head}steps:\n- step: quote\n  call: shop.v1.Stock/Quote\n\
         - step: take\n  call: shop.v1.Everything/Take\n  undo: shop.v1.Everything/Take\n{lines}"
    )
}

fn all(json: &str) -> Vec<u8> {
    let mut json = serde_json::Deserializer::from_str(json);
    let descriptor = descriptors().message("shop.v1.All").unwrap();
    DynamicMessage::deserialize(descriptor, &mut json).unwrap().encode_to_vec()
}

fn judged(
    compiled: &Compiled,
    method: Method,
    request: &str,
    response: &str,
) -> Result<Option<Reason>, EvaluationError> {
    compiled.judge_response((FREEZE, method), &all(request), &all(response))
}

#[test]
fn a_response_is_a_decline_where_the_condition_holds_with_its_reason_and_message() {
    let lines = "  declined_if: take.state == 'STATE_OPEN' || response.big < request.big\n  \
                 reason: CARD_REJECTED\n  message: \"'no: ' + take.text\"\n";
    let compiled = compile(&source("", lines));
    let rejected = judged(&compiled, Method::Call, "{}", r#"{"state":1,"text":"blocked"}"#);
    assert_eq!(rejected, Ok(Some(Reason::new("CARD_REJECTED", "no: blocked"))));
    let partly = judged(&compiled, Method::Call, r#"{"big":"5"}"#, r#"{"big":"4"}"#);
    assert_eq!(partly.unwrap().unwrap().code, "CARD_REJECTED");
    let whole = judged(&compiled, Method::Call, r#"{"big":"5"}"#, r#"{"big":"5"}"#);
    assert_eq!(whole, Ok(None));
    assert!(compiled.step(FREEZE).judges_responses(Method::Call));
    assert!(!compiled.step(FREEZE).judges_responses(Method::Undo), "a step speaks of its call");
}

#[test]
fn without_a_reason_and_a_message_the_condition_is_told() {
    let compiled = compile(&source("", "  undo_declined_if: response.flag\n"));
    let told = "the definition takes the response for a decline: response.flag";
    let reason = Some(Reason::new("STEP_REFUSED", told));
    assert_eq!(judged(&compiled, Method::Undo, "{}", r#"{"flag":true}"#), Ok(reason));
    assert_eq!(judged(&compiled, Method::Call, "{}", r#"{"flag":true}"#), Ok(None));
}

#[test]
fn what_is_said_of_a_participant_holds_for_its_calls_and_undos_unless_a_step_says_otherwise() {
    let head = "participants:\n  shop.v1.Everything: { declined_if: response.flag, reason: NO }\n";
    let compiled = compile(&source(head, ""));
    for method in [Method::Call, Method::Undo] {
        let reason = judged(&compiled, method, "{}", r#"{"flag":true}"#).unwrap();
        assert_eq!(reason.unwrap().code, "NO", "{method:?}");
    }
    assert!(!compiled.step(StepId(0)).judges_responses(Method::Call), "another participant");
    let lines = "  declined_if: take.small > 1\n  undo_declined_if: false\n";
    let compiled = compile(&source(head, lines));
    for method in [Method::Call, Method::Undo] {
        assert_eq!(judged(&compiled, method, "{}", r#"{"flag":true}"#), Ok(None));
    }
}

#[test]
fn a_value_that_the_condition_cannot_take_is_a_fault_with_its_place() {
    let compiled = compile(&source("", "  declined_if: \"10 / take.small == 1\"\n"));
    let fault = judged(&compiled, Method::Call, "{}", "{}").unwrap_err();
    assert!(fault.to_string().starts_with("t.yaml:10:17: `10 / take.small == 1`: "), "{fault}");
    let compiled = compile(&source("", "  declined_if: take.flag\n  message: take.object.why\n"));
    let fault = judged(&compiled, Method::Call, "{}", r#"{"flag":true}"#).unwrap_err();
    assert!(fault.to_string().starts_with("t.yaml:11:12: `take.object.why`: "), "{fault}");
}

#[test]
fn what_cannot_be_judged_by_is_refused_with_its_place_and_cure() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "",
            "  declined_if: take.stat == 1\n",
            &["t.yaml:10:21: no field `stat` in shop.v1.All; did you mean `state`?"],
        ),
        (
            "",
            "  declined_if: take.small\n",
            &[
                "t.yaml:10:16: `declined_if` wants bool, got int; compare it with something, such as `… > 0`",
            ],
        ),
        (
            "",
            "  declined_if: { status: REJECTED }\n",
            &[
                "t.yaml:10:16: `declined_if` is a mapping, not an expression; write one condition; join several with && and ||",
            ],
        ),
        (
            "",
            "  declined_if: take.flag\n  reason: no money\n  message: take.small\n",
            &[
                "t.yaml:11:11: `no money` is no reason; write it like CARD_REJECTED: at most 63 capital letters, digits and underscores, a letter first",
                "t.yaml:12:12: `message` wants string, got int; convert it: string(…)",
            ],
        ),
        (
            "",
            "  reason: NO\n  message: \"'x'\"\n",
            &[
                "t.yaml:10:3: `reason` without `declined_if`; add `declined_if: …`, the condition over the response, or remove it",
                "t.yaml:11:3: `message` without `declined_if`; add `declined_if: …`, the condition over the response, or remove it",
            ],
        ),
        (
            "",
            "  declined_if: quote.rate > 1.0 || saga.id == ''\n",
            &[
                "t.yaml:10:16: the response of `quote` is not seen where another is judged; use `response` or `request`; what needs both belongs in a step's `when`",
                "t.yaml:10:36: `saga` is not seen where a response is judged; use `response` or `request`",
            ],
        ),
        (
            "",
            "  undo_declined_if: take.flag\n",
            &[
                "t.yaml:10:21: the response of `take` is not seen where another is judged; use `response` or `request`; what needs both belongs in a step's `when`",
            ],
        ),
        (
            "participants: { shop.v1.Evrything: { declined_if: response.flag } }\n",
            "",
            &["t.yaml:4:17: no step calls `shop.v1.Evrything`; did you mean `shop.v1.Everything`?"],
        ),
        (
            "participants: { shop.v1.Stock: { declined_if: response.flag } }\n",
            "",
            &[
                "t.yaml:4:56: no field `flag` in shop.v1.QuoteResponse; there is `lines`, `total`, `state`, `rate`",
            ],
        ),
        (
            "participants: { shop.v1.Stock: { decline_if: response.flag } }\n",
            "",
            &["t.yaml:4:34: a participant has no key `decline_if`; did you mean `declined_if`?"],
        ),
        (
            "participants: [shop.v1.Stock]\n",
            "",
            &[
                "t.yaml:4:15: `participants` is a list, not a mapping; write `participants: { pkg.Service: { declined_if: … } }`",
            ],
        ),
        (
            "participants: { shop.v1.Stock: yes }\n",
            "",
            &["t.yaml:4:32: a participant is a text, not a mapping; write `declined_if: …`"],
        ),
    ];
    for (head, lines, expected) in cases {
        assert_eq!(problems(&source(head, lines)), *expected, "{head}{lines}");
    }
}
