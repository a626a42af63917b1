//! CEL expressions: compiled, and evaluated where they are sound.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use definition::{Compiled, Draft, ErrorKind, Identity};
use proptest::{prelude::*, test_runner::TestRunner};
use prost::Message;
use proto::checkout::v1::{Line, PlaceOrderRequest};
use saga::StepId;

use stage::damage::{Change, changes, config, in_time};

use crate::definitions::DESCRIPTORS;

/// Texts, all of them sound over a `PlaceOrderRequest`.
const SOUND: [&str; 14] = [
    "request.user_id",
    "request.user_id + '/' + request.submit_token",
    "request.lines.map(line, line.sku).join(',')",
    "request.lines.filter(l, l.quantity > 1).map(l, l.sku)[0]",
    "request.points > 0 ? 'points' : 'money'",
    "string(request.points * 2 - 1)",
    "string(size(request.lines) % 3)",
    "request.lines.exists(l, l.sku == 'tea') ? request.user_id : ''",
    "request.user_id.substring(1).upperAscii()",
    "request.user_id.split('a').join('b')",
    "string(request.lines.map(l, l.quantity)[0] / request.points)",
    "{'a': request.user_id, 'b': 'x'}.a",
    "string(request.lines.all(l, l.quantity > 0 && l.sku != ''))",
    "string(int(request.user_id))",
];

fn pieces() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "request",
        ".lines",
        ".user_id",
        ".points",
        ".map(l, l.sku)",
        ".filter(x, true)",
        ".all(x, x == x)",
        ".exists_one(l, l.sku == '')",
        "[0]",
        "[-1]",
        "[9223372036854775807]",
        "(",
        ")",
        "{",
        "}",
        "'a'",
        "\"",
        "'",
        "1",
        "1u",
        "2.5",
        "-",
        "- -",
        " + ",
        " * 9223372036854775807",
        " / 0",
        " % 0",
        "!",
        "&& true",
        "|| false",
        " == ",
        " in ",
        "? 'a' : ",
        "has(request.points)",
        "has(",
        "size(",
        "string(",
        "int(",
        "uint(",
        "double(",
        "null",
        "saga.id",
        "x",
        ",",
        ".",
        "?.",
        "b'\\xff'",
        "r'\\'",
        "'\\u{110000}'",
        "'\\ud800'",
        "ä",
        "\u{0}",
        "`",
        "type(",
        ".join('')",
        ".split('')",
        ".substring(9223372036854775807)",
        ".substring(-1)",
        ".indexOf('')",
        ".matches('(a*)*b')",
        "duration('1s')",
        "timestamp('0001-01-01T00:00:00Z')",
        "1e400",
        "0x",
        "//",
    ]);
    prop_oneof![4 => tokens.prop_map(str::to_owned), 1 => "[ -~]{0,5}"]
}

fn compiled(expression: &str) -> Option<Compiled> {
    let quoted = expression.replace('\'', "''");
    let source = format!(
        "saga: t\nversion: 1\ninput: sagamesh.checkout.v1.PlaceOrderRequest\nsteps:\n  - step: look\n    \
         call: sagamesh.points.v1.PointsService/GetMember\n    with: {{ user_id: '{quoted}' }}\n"
    );
    Draft::parse("t.yaml", &source).ok()?.compile(&DESCRIPTORS).ok()
}

fn request(text: &str, number: i64, lines: usize) -> Vec<u8> {
    let lines = (0..lines)
        .map(|index| Line { sku: format!("{text}{index}"), quantity: number.wrapping_add(1) })
        .collect();
    let (submit_token, user_id) = (text.to_owned(), text.to_owned());
    PlaceOrderRequest { submit_token, user_id, lines, points: number }.encode_to_vec()
}

#[test]
fn no_damage_to_an_expression_makes_it_panic_or_take_long_or_meet_a_wrong_type() {
    let seen = Mutex::new(BTreeMap::<String, u32>::new());
    let count = |what: &str| {
        *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() +=
            1;
    };
    for expression in SOUND {
        assert!(compiled(expression).is_some(), "the corpus is not sound: {expression}");
    }
    let texts =
        prop::sample::select(vec!["", "a", "ada", "12", "-9223372036854775808", "äß🫖", "\u{0}"]);
    let numbers = prop::sample::select(vec![0, 1, -1, 7, i64::MAX, i64::MIN]);
    let strategy =
        (prop::sample::select(SOUND.to_vec()), changes(pieces()), texts, numbers, 0_usize..4);
    let mut runner = TestRunner::new(config(900));
    let outcome = runner.run(&strategy, |(sound, changes, text, number, lines)| {
        let changes: Vec<Change<String>> = changes;
        let mut expression = sound.to_owned();
        changes.iter().for_each(|change| change.to_text(&mut expression));
        let Some(compiled) = in_time(&expression, || compiled(&expression)) else {
            count("refused");
            return Ok(());
        };
        let request = request(text, number, lines);
        let facts = compiled.facts(Identity { id: "s-1", ..Identity::default() }, &request);
        match in_time(&expression, || compiled.prepare_call(StepId(0), &facts)) {
            Ok(_) => count("evaluated"),
            Err(fault) => {
                prop_assert_ne!(fault.kind, ErrorKind::Type, "{}: {}", expression, fault);
                count(&format!("{:?}", fault.kind));
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("damaged expressions: {seen:?}");
    for what in ["refused", "evaluated", "Arithmetic", "Conversion", "MissingKey"] {
        assert!(seen.contains_key(what), "{what} was never met: {seen:?}");
    }
}

#[test]
fn an_expression_that_nests_or_grows_without_end_is_answered_in_time() {
    let nested = |depth: usize| {
        let inner = (0..depth).fold("1".to_owned(), |inner, level| {
            format!("size(request.lines.map(x{level}, {inner}))")
        });
        format!("string({inner})")
    };
    let doubled = (0..40).fold("request.user_id".to_owned(), |inner, level| {
        format!("[{inner}].map(x{level}, x{level} + x{level})[0]")
    });
    let expressions = [
        "(".repeat(8_000),
        format!("{}1{}", "(".repeat(3_000), ")".repeat(3_000)),
        "!".repeat(8_000) + "true",
        "-".repeat(8_000) + "1",
        vec!["1"; 4_000].join("+"),
        vec!["'a'"; 2_000].join("+"),
        format!("{}1{}", "[".repeat(500), "]".repeat(500)),
        "x?".repeat(2_000),
        "request.lines".to_owned() + &".map(l, l)".repeat(500),
        nested(2),
        doubled,
    ];
    let request = request("abc", 1, 100);
    for expression in expressions {
        let short: String = expression.chars().take(60).collect();
        let Some(compiled) = in_time(&short, || compiled(&expression)) else { continue };
        let facts = compiled.facts(Identity::default(), &request);
        let _ = in_time(&short, || compiled.prepare_call(StepId(0), &facts));
    }
}
