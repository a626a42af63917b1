//! `undo_with` by whether the step's response came.

use bytes::Bytes;
use definition::{Draft, Identity, Method, PreparedUndo};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use saga::StepId;

use crate::shop::{compile, descriptors, problems};

const TAKE: StepId = StepId(0);

fn source(undo_with: &str) -> String {
    format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n- step: take\n  call: shop.v1.Everything/Take\n  \
         undo: shop.v1.Everything/Take\n  undo_with: {undo_with}\n- step: pay\n  call: shop.v1.Bank/Charge\n"
    )
}

fn all(json: &str) -> Bytes {
    let mut json = serde_json::Deserializer::from_str(json);
    let descriptor = descriptors().message("shop.v1.All").unwrap();
    DynamicMessage::deserialize(descriptor, &mut json).unwrap().encode_to_vec().into()
}

/// What the undo is sent for a request `r`, after this response.
fn undone(undo_with: &str, response: Option<&str>) -> PreparedUndo {
    let compiled = compile(&source(undo_with));
    let (request, response) = (all(r#"{"text":"r"}"#), response.map(all));
    let facts = compiled.facts(Identity::default(), &request);
    let facts = match &response {
        Some(response) => facts.with_response(TAKE, response),
        None => facts,
    };
    compiled.prepare_undo(TAKE, &facts).unwrap()
}

#[test]
fn the_response_is_used_where_it_came_and_what_stands_for_it_where_it_did_not() {
    let undo_with = "{ when_known: { text: take.text }, when_unknown: { left: request.text } }";
    let known = PreparedUndo::Request(all(r#"{"text":"no. 7"}"#));
    assert_eq!(undone(undo_with, Some(r#"{"text":"no. 7"}"#)), known);
    let unknown = PreparedUndo::Request(all(r#"{"left":"r"}"#));
    assert_eq!(undone(undo_with, None), unknown);
    assert_eq!(undone(undo_with, Some("{}")), unknown, "an empty response says nothing");
}

#[test]
fn an_undo_can_be_left_to_a_person_where_no_response_came() {
    for attention in ["attention", "'attention'"] {
        let undo_with = format!("{{ when_known: take, when_unknown: {attention} }}");
        assert_eq!(undone(&undo_with, None), PreparedUndo::Attention);
        let known = PreparedUndo::Request(all(r#"{"big":"7"}"#));
        assert_eq!(undone(&undo_with, Some(r#"{"big":"7"}"#)), known);
    }
    assert_eq!(
        undone("{ text: request.text }", None),
        PreparedUndo::Request(all(r#"{"text":"r"}"#))
    );
}

#[test]
fn an_undo_that_uses_the_response_must_say_what_is_sent_without_it() {
    let cases: &[(&str, &[&str])] = &[
        (
            "{ text: take.text }",
            &[
                "t.yaml:8:22: the response of `take` may never have come when it is undone; use it under `when_known`, beside a `when_unknown`; or leave it out, where the participant finds what to undo by the saga id and the step in the metadata",
            ],
        ),
        (
            "{ when_known: { text: take.text } }",
            &[
                "t.yaml:8:16: what the undo sends where the response of `take` never came is not said; add `when_unknown: { … }`, or `when_unknown: attention` to leave it to a person",
            ],
        ),
        (
            "{ when_unknown: { text: request.text } }",
            &[
                "t.yaml:8:16: `when_unknown` without `when_known`; add `when_known: { … }`, or write the fields below `undo_with` itself",
            ],
        ),
        (
            "{ when_known: { text: take.text }, when_unknown: { text: take.text } }",
            &[
                "t.yaml:8:71: the response of `take` may never have come when it is undone; use it under `when_known`, beside a `when_unknown`; or leave it out, where the participant finds what to undo by the saga id and the step in the metadata",
            ],
        ),
        (
            "{ when_known: { text: take.text }, when_unknown: }",
            &["t.yaml:8:49: `when_unknown` is empty; give it a value or remove it"],
        ),
        (
            "{ when_known: { text: take.txt }, when_unknown: ask }",
            &[
                "t.yaml:8:41: no field `txt` in shop.v1.All; did you mean `text`?",
                "t.yaml:8:62: nothing is called `ask` here; a text is written in quotes of its own: \"'ask'\"",
            ],
        ),
        (
            "{ when_known: { text: take.text }, when_unknown: atention }",
            &["t.yaml:8:63: `atention` says nothing of an undo; did you mean `attention`?"],
        ),
        (
            "{ when_known: { text: pay.payment_no }, when_unkown: attention }",
            &[
                "t.yaml:8:16: what the undo sends where the response of `take` never came is not said; add `when_unknown: { … }`, or `when_unknown: attention` to leave it to a person",
                "t.yaml:8:36: `pay` may not be done before `take`; `pay` comes after `take`; turn them round",
                "t.yaml:8:54: `undo_with` has no key `when_unkown`; did you mean `when_unknown`?",
            ],
        ),
    ];
    for (undo_with, expected) in cases {
        assert_eq!(problems(&source(undo_with)), *expected, "{undo_with}");
    }
}

const LOOKUP: &str = "{ when_known: { text: take.text }, when_unknown: { lookup: { call: shop.v1.Stock/Freeze, \
     with: { order_no: request.text }, found: lookup.freeze_no != '' }, with: { text: lookup.freeze_no } } }";

#[test]
fn a_lookup_is_sent_its_request_and_what_it_finds_goes_into_the_undo() {
    let compiled = compile(&source(LOOKUP));
    let of = |name: &str, json: &str| -> Bytes {
        let descriptor = descriptors().message(name).unwrap();
        let mut json = serde_json::Deserializer::from_str(json);
        DynamicMessage::deserialize(descriptor, &mut json).unwrap().encode_to_vec().into()
    };
    let request = all(r#"{"text":"r"}"#);
    let facts = || compiled.facts(Identity::default(), &request);
    let asked = PreparedUndo::Lookup(of("shop.v1.FreezeRequest", r#"{"orderNo":"r"}"#));
    assert_eq!(compiled.prepare_undo(TAKE, &facts()), Ok(asked));
    let found = of("shop.v1.FreezeResponse", r#"{"freezeNo":"no. 7"}"#);
    let undo = compiled.prepare_undo(TAKE, &compiled.with_found(facts(), TAKE, &found));
    assert_eq!(undo, Ok(PreparedUndo::Request(all(r#"{"text":"no. 7"}"#))));
    let judged = |response: &[u8]| {
        compiled.judge_response((TAKE, Method::Lookup), &request, response).unwrap()
    };
    assert_eq!(judged(&found), None);
    assert_eq!(judged(&[]).unwrap().code, "NOTHING_TO_UNDO");
    let response = all(r#"{"text":"no. 8"}"#);
    let undo = compiled.prepare_undo(TAKE, &facts().with_response(TAKE, &response));
    assert_eq!(undo, Ok(PreparedUndo::Request(response.clone())), "there is nothing to look up");
}

#[test]
fn a_lookup_that_cannot_be_made_is_refused_with_its_place_and_cure() {
    let col = |text: &str| 14 + LOOKUP.find(text).unwrap();
    let cases = [
        (
            "shop.v1.Stock/Freeze",
            "shop.v1.Stock/Frezee",
            col("Freeze, "),
            "no method `Frezee` in shop.v1.Stock; did you mean `Freeze`?",
        ),
        (
            "shop.v1.Stock/Freeze",
            "Freeze",
            col("shop.v1.Stock/"),
            "`Freeze` is no method; write `package.Service/Method`",
        ),
        (
            "order_no: request",
            "order_no: take",
            col("request.text"),
            "the response of `take` may never have come when it is undone; use it under `when_known`, beside a `when_unknown`; or leave it out, where the participant finds what to undo by the saga id and the step in the metadata",
        ),
        (
            "found: lookup.freeze_no != ''",
            "found: lookup.freeze_no",
            col("lookup.freeze_no !="),
            "`found` wants bool, got string; compare it with something, such as `… > 0`",
        ),
        (
            "found: lookup",
            "fond: lookup",
            col("found:"),
            "`lookup` has no key `fond`; did you mean `found`?",
        ),
        (
            "text: lookup.freeze_no",
            "text: lookup.freze_no",
            col("freeze_no } }"),
            "no field `freze_no` in shop.v1.FreezeResponse; did you mean `freeze_no`?",
        ),
        (
            ", with: { text: lookup.freeze_no }",
            "",
            col("{ lookup:"),
            "what the undo is sent when the lookup has found something is not said; add `with: { … }` beside `lookup`, which sees its response as `lookup`",
        ),
        (
            "call: shop.v1.Stock/Freeze, ",
            "",
            col("{ call:"),
            "the lookup calls nothing; add `call: package.Service/Method`",
        ),
    ];
    for (from, to, column, expected) in cases {
        assert!(LOOKUP.contains(from), "{from}");
        let problems = problems(&source(&LOOKUP.replace(from, to)));
        assert_eq!(problems, [format!("t.yaml:8:{column}: {expected}")], "{from} -> {to}");
    }
}

#[test]
fn the_service_of_a_lookup_is_one_that_the_definition_needs() {
    let draft = Draft::parse("t.yaml", &source(LOOKUP)).unwrap();
    assert!(draft.services().contains("shop.v1.Stock"));
}
