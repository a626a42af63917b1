//! What a saga that has succeeded comes to.

use definition::{Compiled, Identity};
use prost::Message as _;
use prost_reflect::DynamicMessage;

use crate::shop::{PLACE, compile, descriptors, problems};

const ROOM: usize = 1 << 20;

/// A saga whose steps all take and give an `All`, by their lines behind `call`.
fn saga(steps: &[(&str, &str)], output: &str) -> Compiled {
    let steps: String = steps
        .iter()
        .map(|(name, more)| {
            format!("  - step: {name}\n    call: shop.v1.Everything/Take\n    pivot: false\n{more}")
        })
        .collect();
    compile(&format!("saga: t\nversion: 1\nsteps:\n{steps}{output}"))
}

fn all(json: &str) -> Vec<u8> {
    let mut json = serde_json::Deserializer::from_str(json);
    let kind = descriptors().message("shop.v1.All").unwrap();
    DynamicMessage::deserialize(kind, &mut json).unwrap().encode_to_vec()
}

/// The output of a saga with this input, whose steps of these names were answered so.
fn output_in(
    compiled: &Compiled,
    input: &str,
    answers: &[(&str, &str)],
    room: usize,
) -> Result<Option<String>, String> {
    let input = compiled.request_from_json(input).unwrap();
    let answers: Vec<_> = answers
        .iter()
        .map(|(step, json)| (compiled.engine().find(step).unwrap(), all(json)))
        .collect();
    let identity = Identity { id: "s-1", key: "k", ..Identity::default() };
    let facts = answers.iter().fold(compiled.facts(identity, &input), |facts, (step, bytes)| {
        facts.with_response(*step, bytes)
    });
    compiled.output(&facts, b"", room).map_err(|error| error.to_string())
}

fn output(
    compiled: &Compiled,
    input: &str,
    answers: &[(&str, &str)],
) -> Result<Option<String>, String> {
    output_in(compiled, input, answers, ROOM)
}

#[test]
fn an_output_is_json_of_expressions_and_its_numbers_are_exact() {
    let template = "output:\n  no: pay.text\n  amount: pay.big\n  twice: pay.small * 2\n  \
                    huge: pay.big + 2\n  nested: { state: pay.state, all: [pay.money, saga.id, 5, true] }\n  \
                    names: pay.lines.map(l, l.sku)\n  guest: request.guest\n";
    let compiled = saga(&[("pay", "")], template);
    let answer = r#"{"text":"p-1","big":"9007199254740993","small":21,"state":"STATE_PAID",
        "money":{"currency":"EUR","minorUnits":"9007199254740993"},"lines":[{"sku":"tea"}]}"#;
    assert_eq!(
        output(&compiled, r#"{"guest": {"name": "ada", "age": 36}}"#, &[("pay", answer)])
            .unwrap()
            .unwrap(),
        r#"{"no":"p-1","amount":"9007199254740993","twice":42,"huge":"9007199254740995","#
            .to_owned()
            + r#""nested":{"state":"STATE_PAID","all":[{"currency":"EUR","minor_units":"9007199254740993"},"s-1",5,true]},"#
            + r#""names":["tea"],"guest":{"age":36,"name":"ada"}}"#
    );
}

#[test]
fn what_is_not_set_is_left_out_and_null_in_a_list() {
    let template = "output: { money: pay.money, maybe: pay.maybe, text: pay.text, list: [pay.money, pay.small] }\n";
    let compiled = saga(&[("pay", "")], template);
    let found = |answers: &[(&str, &str)]| output(&compiled, "{}", answers).unwrap().unwrap();
    assert_eq!(found(&[("pay", "{}")]), r#"{"text":"","list":[null,0]}"#);
    assert_eq!(found(&[]), r#"{"list":[null,null]}"#, "of a skipped step nothing is set");
    let template = "output: { all: \"[pay.money, pay.maybe]\", map: \"{'a': pay.maybe, 'b': 1}\", \
                    either: \"true ? pay.maybe : 1\" }\n";
    let computed = saga(&[("pay", "")], template);
    let found = output(&computed, "{}", &[("pay", "{}")]).unwrap().unwrap();
    assert_eq!(found, r#"{"all":[null,null],"map":{"b":1}}"#);
}

#[test]
fn without_an_output_the_step_that_came_last_is_it() {
    let row = saga(&[("one", ""), ("two", ""), ("three", "    when: request.third\n")], "");
    let (one, two, three) =
        (("one", r#"{"small":1}"#), ("two", r#"{"small":2}"#), ("three", r#"{"small":3}"#));
    let found = |compiled: &Compiled, answers: &[(&str, &str)]| output(compiled, "{}", answers);
    let is = |number: u32| Ok(Some(format!("{{\"small\":{number}}}")));
    assert_eq!(found(&row, &[one, two, three]), is(3));
    assert_eq!(found(&row, &[one, two]), is(2), "a step that was skipped does not count");
    assert_eq!(found(&row, &[]), Ok(None));

    let beside = saga(
        &[("one", "    after: []\n"), ("two", "    after: []\n"), ("three", "    after: [one]\n")],
        "",
    );
    assert_eq!(found(&beside, &[one, two, three]), is(3), "the one that is written last");
    assert_eq!(found(&beside, &[one, two]), is(2));
    let turned = saga(&[("one", "    after: [two]\n"), ("two", "    after: []\n")], "");
    assert_eq!(found(&turned, &[one, two]), is(1), "the order of `after`, not of the file");
}

#[test]
fn an_output_that_does_not_fit_its_values_says_where_and_why() {
    let compiled = saga(&[("pay", "")], "output: { left: 1 / pay.small, key: request.key }\n");
    let expected = "t.yaml:7:17: `1 / pay.small`: division by zero";
    assert_eq!(output(&compiled, r#"{"key": 1}"#, &[]), Err(expected.to_owned()));
    let expected = "t.yaml:7:37: `request.key`: no key `key`";
    assert_eq!(output(&compiled, "{}", &[("pay", r#"{"small":1}"#)]), Err(expected.to_owned()));
}

#[test]
fn an_output_that_is_too_large_is_told_and_never_cut() {
    let compiled = saga(&[("pay", "")], "");
    let answer = format!(r#"{{"text":"{}"}}"#, "x".repeat(1_000));
    let found = output_in(&compiled, "{}", &[("pay", &answer)], 500);
    let expected =
        "the output has more than 500 bytes of JSON: let `output` name the fields that are needed";
    assert_eq!(found, Err(expected.to_owned()));
    assert!(output_in(&compiled, "{}", &[("pay", &answer)], 1_100).is_ok());
}

#[test]
fn a_response_that_cannot_be_decoded_is_told() {
    let compiled = saga(&[("pay", "")], "");
    let facts = compiled.facts(Identity::default(), b"");
    let step = compiled.engine().find("pay").unwrap();
    let error = compiled.output(&facts.with_response(step, &[0x0a, 9]), b"", ROOM).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("these 2 bytes are no shop.v1.All by the registered"), "{error}");
}

#[test]
fn the_reply_of_a_served_method_is_the_output_and_an_output_beside_it_is_refused() {
    let compiled = compile(PLACE);
    let facts = compiled.facts(Identity::default(), b"");
    let reply = b"\x0a\x01o";
    let found = compiled.output(&facts, reply, ROOM).unwrap();
    assert_eq!(found.as_deref(), Some(r#"{"order_no":"o"}"#));
    assert_eq!(
        problems(&format!("{PLACE}output: freeze\n")),
        ["t.yaml:24:1: `output` beside `serves`; remove it; the output is the `reply`"]
    );
}

#[test]
fn the_expressions_of_an_output_are_checked_when_the_definition_is() {
    let source = "saga: t\nversion: 1\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n\
                  output:\n  a: take.txt\n  b: [take.text + 1, tak.text]\n";
    assert_eq!(
        problems(source),
        [
            "t.yaml:7:11: no field `txt` in shop.v1.All; did you mean `text`?",
            "t.yaml:8:17: no `+` for (string, int); convert one side: string(…), int(…)",
            "t.yaml:8:22: nothing is called `tak` here; did you mean `take`?",
        ]
    );
    let empty = source.replace("  a: take.txt\n  b: [take.text + 1, tak.text]\n", "  a:\n");
    assert_eq!(problems(&empty).len(), 1);
}
