//! What of its input a definition without a type for it uses, and which inputs can never do.

use definition::{Compiled, Identity, Prepared};
use proptest::prelude::*;
use saga::StepId;
use serde_json::json;

use crate::shop::compile;

/// A saga of one step for each of these, `with` and what else it has.
fn saga(steps: &[(&str, &str)]) -> Compiled {
    let steps: String = steps
        .iter()
        .enumerate()
        .map(|(nth, (with, more))| {
            format!("  - step: s{nth}\n    call: shop.v1.Everything/Take\n    with: {with}\n{more}")
        })
        .collect();
    compile(&format!("saga: t\nversion: 1\nsteps:\n{steps}"))
}

fn check(compiled: &Compiled, input: &serde_json::Value) -> Vec<String> {
    let request = compiled.request_from_json(&input.to_string()).unwrap();
    let problems = compiled.check_input(&request);
    problems.into_iter().map(|problem| format!("{} {}", problem.path, problem.what)).collect()
}

#[test]
fn the_input_is_what_expressions_use_and_a_key_that_may_be_missing_has_a_question_mark() {
    for (steps, shape) in [
        (vec![("{}", "")], "a JSON object, of which nothing is used"),
        (vec![("{ object: request }", "")], "a JSON object"),
        (
            vec![("{ text: request.order_no, big: request.amount, texts: request.names }", "")],
            "{ order_no: string, amount: int64, names: [string] }",
        ),
        (vec![("{ text: \"has(request.note) ? request.note : ''\" }", "")], "{ note?: any }"),
        (
            vec![(
                "{ money: request.money, lines: [{ sku: request.line.sku, quantity: request.line.n }] }",
                "",
            )],
            "{ money: shop.v1.Money, line: { sku: string, n: uint32 } }",
        ),
        (
            vec![(
                "{ counts: request.counts, at: request.at, counted: request.counted, any: request.any }",
                "",
            )],
            "{ counts: {string: int64}, at: Timestamp, counted: int64, any: any }",
        ),
        (
            vec![
                ("{ text: request.a }", "    when: request.wanted && request.n > 5\n"),
                ("{ big: request.a }", ""),
            ],
            "{ wanted?: bool, n?: number, a: string and int64 }",
        ),
        (
            vec![("{ text: \"request['order-no'] + 'x'\", object: request }", "")],
            "{ \"order-no\": string, … }",
        ),
        (
            vec![(
                "{}",
                "    undo: shop.v1.Everything/Take\n    undo_with: { text: request.why }\n",
            )],
            "{ why?: string }",
        ),
        (
            vec![("{ texts: \"request.lines.map(l, l.sku + request.more)\" }", "")],
            "{ lines: any, more?: any }",
        ),
    ] {
        assert_eq!(saga(&steps).input_shape(), shape, "{steps:?}");
    }
    let typed = "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: s\n    call: shop.v1.Everything/Take\n";
    assert_eq!(compile(typed).input_shape(), "shop.v1.All");
}

#[test]
fn everything_that_is_missing_or_can_never_fit_is_told_at_once() {
    let with = "{ text: request.order_no, big: request.amount, money: request.money, \
                state: request.state, lines: [{ sku: request.line.sku, note: request.line.note }], \
                wrapped: \"request['wrapped']\" }";
    let compiled = saga(&[(with, "")]);
    let found = check(
        &compiled,
        &json!({"amount": 1.5, "money": {"currency": 5, "units": "x"}, "state": "secret", "wrapped": [1]}),
    );
    let expected = [
        ".amount must be int64 for step `s0` (t.yaml:6:42); change it in the input",
        ".line is missing: step `s0` uses it as { sku: string, note: string } (t.yaml:6:117); add it \
         to the input",
    ];
    for expected in expected {
        assert!(found.contains(&expected.to_owned()), "{expected}\n{found:#?}");
    }
    let paths: Vec<&str> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    let wrong = [".amount", ".line", ".money", ".order_no", ".state", ".wrapped"];
    assert_eq!(paths, wrong, "{found:#?}");
    assert!(!found.concat().contains("secret"), "the value itself is not repeated: {found:#?}");
    let right = json!({"order_no": "o", "amount": 5, "money": null, "state": "STATE_PAID",
        "line": {"sku": "tea", "note": null}, "wrapped": "w"});
    assert_eq!(check(&compiled, &right), [""; 0]);
}

#[test]
fn a_value_without_keys_is_told_where_a_key_of_it_is_used() {
    let compiled = saga(&[("{ text: request.a.b.c }", "")]);
    let found = check(&compiled, &json!({"a": {"b": 5}}));
    let expected = ".a.b must be { c: string } for step `s0` (t.yaml:6:19): `c` is asked of something \
                    without fields; change it in the input";
    assert_eq!(found, [expected]);
}

#[test]
fn nothing_is_refused_for_what_some_saga_that_succeeds_does_without() {
    for (with, more) in [
        ("{ text: request.a }", "    when: has(request.a)\n"),
        ("{}", "    when: \"request.a == 1 || true\"\n"),
        ("{}", "    when: \"false && request.a.b\"\n"),
        ("{ text: \"has(request.a) && has(request.a.b) ? request.a.b : 'none'\" }", ""),
        ("{ texts: \"['x'].filter(x, false).map(x, request.a)\" }", ""),
        ("{ flag: \"[1, 2].exists(x, x == 1 || x == request.a)\" }", ""),
        ("{ flag: \"has(request.a.b) || true\" }", ""),
        ("{}", "    undo: shop.v1.Everything/Take\n    undo_with: { text: request.a }\n"),
    ] {
        assert_eq!(check(&saga(&[(with, more)]), &json!({})), [""; 0], "{with} {more}");
    }
}

#[test]
fn a_key_that_every_side_needs_is_needed() {
    for (with, more) in [
        ("{}", "    when: request.a\n"),
        ("{}", "    when: request.a > 0 && request.a < 5\n"),
        ("{ text: \"true ? request.a : request.a + 'x'\" }", ""),
        ("{ text: \"request['a'].lowerAscii()\" }", ""),
        ("{ texts: \"[string(request.a)]\" }", ""),
        ("{ texts: \"request.a.map(x, 'x')\" }", ""),
        ("{ text: \"{'k': request.a}['k']\" }", ""),
    ] {
        let found = check(&saga(&[(with, more)]), &json!({}));
        assert_eq!(found.len(), 1, "{with} {more} {found:?}");
        assert!(found[0].starts_with(".a is missing: step `s0` uses it as "), "{found:?}");
    }
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|value| json!(value)),
        (-9.0..9.0).prop_map(|value: f64| json!(value)),
        prop_oneof![Just("x"), Just("5"), Just("STATE_PAID"), Just("1.5s"), Just("AAEC")]
            .prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let keys = prop_oneof![Just("a"), Just("b"), Just("currency"), Just("sku")];
        let keys = keys.prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| json!(items)),
            prop::collection::hash_map(keys, inner, 0..3).prop_map(|entries| json!(entries)),
        ]
    })
}

/// Requests of paths alone, and expressions whose sides may or may not be needed.
const TAKEN: [&str; 24] = [
    "{ flag: request.a }",
    "{ small: request.a, ubig: request.b }",
    "{ big: request.a.b }",
    "{ single: request.a, real: request.b }",
    "{ text: request.a, raw: request.b }",
    "{ state: request.a }",
    "{ money: request.a, lines: request.b }",
    "{ money: { currency: request.a.currency, minor_units: request.b } }",
    "{ numbers: request.a, counts: request.b }",
    "{ prices: { '5': request.a } }",
    "{ at: request.a, span: request.b }",
    "{ wrapped: request.a, counted: request.b.a }",
    "{ object: request.a, any: request.b }",
    "{ object: request }",
    "{ texts: [request.a, request.b] }",
    "{ maybe: request.a, left: request.b }",
    "request.a",
    "{ flag: \"request.a == request.b || request.a == 5\" }",
    "{ text: \"has(request.a) ? string(request.b) : 'x'\" }",
    "{ flag: \"request.a.exists(x, x == request.b)\" }",
    "{ flag: \"request.a && request.b\" }",
    "{ text: \"request.a ? request.b : request.b + 'x'\" }",
    "{ flag: \"has(request.a.b) && request.a.b == 'x'\" }",
    "{ small: \"size(request.a) + int(request.b)\" }",
];
/// How many of [`TAKEN`] are paths alone.
const PATHS: usize = 17;

proptest! {
    #[test]
    fn an_input_is_refused_only_where_the_step_cannot_be_made_of_it(
        nth in 0..TAKEN.len(),
        input in prop::collection::hash_map(prop_oneof![Just("a".to_owned()), Just("b".to_owned())], values(), 0..3),
    ) {
        let compiled = saga(&[(TAKEN[nth], "")]);
        let input = json!(input);
        let request = compiled.request_from_json(&input.to_string()).unwrap();
        let facts = compiled.facts(Identity::default(), &request);
        let prepared = compiled.prepare_call(StepId(0), &facts);
        let found = check(&compiled, &input);
        if !found.is_empty() {
            prop_assert!(prepared.is_err(), "{} {input} {found:?}", TAKEN[nth]);
        } else if nth < PATHS {
            prop_assert!(matches!(prepared, Ok(Prepared::Request(_))), "{} {input} {prepared:?}", TAKEN[nth]);
        }
    }
}
