//! What the checker accepts meets no type error, and nothing that is read makes it panic.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use definition::{Compiled, Descriptors, Draft, ErrorKind, Identity};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use saga::StepId;

use crate::shop::{PLACE, descriptors};

static DESCRIPTORS: LazyLock<Descriptors> = LazyLock::new(descriptors);

/// Decisions drawn from bytes, so that a failing case shrinks to few of them.
struct Choices<'b>(std::slice::Iter<'b, u8>);

impl Choices<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % limit
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

const KINDS: [&str; 9] =
    ["bool", "int", "uint", "double", "string", "bytes", "message", "ints", "lines"];

/// An expression that is meant to be of `kind`, and now and then is not.
fn expression(kind: &str, depth: usize, choices: &mut Choices<'_>) -> String {
    let kind = if choices.below(24) == 0 { choices.pick(&KINDS) } else { kind };
    if depth == 0 {
        return atom(kind, choices);
    }
    let mut sub = |kind: &str| expression(kind, depth - 1, choices);
    match kind {
        "bool" => {
            let (a, b) = (sub("bool"), sub("bool"));
            let (i, j) = (sub("int"), sub("uint"));
            let (s, t) = (sub("string"), sub("string"));
            let (xs, ls) = (sub("ints"), sub("lines"));
            let forms = [
                format!("({a} && {b})"),
                format!("({a} || {b})"),
                format!("!{a}"),
                format!("({i} < {j})"),
                format!("({} >= {i})", sub("double")),
                format!("({j} < {})", sub("double")),
                format!("({i} == {j})"),
                format!("({s} <= {t})"),
                format!("({i} in {xs})"),
                format!("{s}.startsWith({t})"),
                format!("{xs}.all(x, x > {i})"),
                format!("{ls}.exists(l, l.sku == {s} && has(l.note))"),
                format!("{ls}.exists_one(l, l.quantity > 1u)"),
                format!("({} == {})", sub("message"), sub("message")),
                "has(request.maybe)".to_owned(),
                "has(request.counts.x)".to_owned(),
                "(request.state == 'STATE_PAID')".to_owned(),
                format!("(request.state in ['STATE_OPEN', {s}])"),
                format!("({s} in request.counts)"),
                format!("({xs} == {xs})"),
            ];
            choices.pick(&forms).clone()
        }
        "int" => {
            let (a, b, c) = (sub("int"), sub("int"), sub("bool"));
            let (s, xs, ls, d) = (sub("string"), sub("ints"), sub("lines"), sub("double"));
            let forms = [
                format!("({a} + {b})"),
                format!("({a} - {b})"),
                format!("({a} * {b})"),
                format!("({a} / {b})"),
                format!("({a} % {b})"),
                format!("-({a})"),
                format!("({c} ? {a} : {b})"),
                format!("size({s})"),
                format!("{ls}.size()"),
                format!("{xs}[{a}]"),
                format!("int({d})"),
                format!("int({s})"),
                "request.counts['x']".to_owned(),
                "request.prices[7].minor_units".to_owned(),
                format!("{s}.indexOf({s})"),
                format!("{{'a': {a}, 'b': {s}}}.a"),
            ];
            choices.pick(&forms).clone()
        }
        "uint" => format!("uint({})", sub("int")),
        "double" => format!("({} + {})", sub("double"), sub("double")),
        "string" => {
            let (a, b, i) = (sub("string"), sub("string"), sub("int"));
            let forms = [
                format!("({a} + {b})"),
                format!("string({i})"),
                format!("{a}.substring({i})"),
                format!("{a}.upperAscii()"),
                format!("{a}.split({b}).join('-')"),
                format!("{}.map(l, l.sku).join({a})", sub("lines")),
                format!("string({})", sub("bytes")),
                format!("({} ? {a} : request.wrapped)", sub("bool")),
            ];
            choices.pick(&forms).clone()
        }
        "bytes" => format!("({} + {})", sub("bytes"), sub("bytes")),
        "message" => {
            let (c, a, b) = (sub("bool"), sub("message"), sub("message"));
            let built = format!("{{'currency': {}, 'minor_units': {}}}", sub("string"), sub("int"));
            let forms = [
                format!("({c} ? {a} : {b})"),
                built,
                format!("{}[{}].price", sub("lines"), sub("int")),
                format!("[{a}][0]"),
            ];
            choices.pick(&forms).clone()
        }
        "ints" => {
            let forms = [
                format!("({} + {})", sub("ints"), sub("ints")),
                format!("[{}, {}]", sub("int"), sub("int")),
                format!("{}.map(x, x + {})", sub("ints"), sub("int")),
                format!("{}.filter(x, {})", sub("ints"), sub("bool")),
                "[]".to_owned(),
            ];
            choices.pick(&forms).clone()
        }
        _ => {
            let forms = [
                format!("{}.filter(l, l.sku != {})", sub("lines"), sub("string")),
                format!("{}.map(l, {{'sku': l.sku, 'price': {}}})", sub("lines"), sub("message")),
                format!("[{{'sku': {}}}, {{'quantity': {}}}]", sub("string"), sub("uint")),
                format!("({} + {})", sub("lines"), sub("lines")),
            ];
            choices.pick(&forms).clone()
        }
    }
}

fn atom(kind: &str, choices: &mut Choices<'_>) -> String {
    let atoms: &[&str] = match kind {
        "bool" => &["true", "request.flag", "false", "has(request.money)"],
        "int" => &[
            "1",
            "request.small",
            "request.big",
            "request.maybe",
            "0",
            "request.state",
            "request.counted",
            "request.money.minor_units",
            "request.right",
            "-5",
        ],
        "uint" => &["1u", "request.usmall", "request.ubig"],
        "double" => &["0.5", "request.real", "request.single"],
        "string" => &[
            "'a'",
            "request.text",
            "request.wrapped",
            "saga.id",
            "request.left",
            "''",
            "request.money.currency",
        ],
        "bytes" => &["b'a'", "request.raw"],
        "message" => &["request.money", "request.money"],
        "ints" => &["request.numbers", "[1, 2]"],
        _ => &["request.lines", "[]"],
    };
    (*choices.pick(atoms)).to_owned()
}

fn kind_of(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        return "int";
    }
    match (field.is_list(), field.kind()) {
        (true, Kind::Message(_)) => "lines",
        (true, Kind::String) => "string",
        (true, _) => "ints",
        (_, Kind::Bool) => "bool",
        (_, Kind::Double | Kind::Float) => "double",
        (_, Kind::String) => "string",
        (_, Kind::Bytes) => "bytes",
        (_, Kind::Uint32 | Kind::Uint64) => "uint",
        (_, Kind::Message(message)) => match message.name() {
            "Money" => "message",
            "Int64Value" => "int",
            _ => "string",
        },
        _ => "int",
    }
}

/// Whether expressions are made for the field; the others are those that `json` is about.
fn is_drawn(field: &FieldDescriptor) -> bool {
    let is_of_all = field.parent_message().name() == "All";
    !(is_of_all && field.number() > 27 || matches!(field.name(), "object" | "any" | "at" | "span"))
}

/// A message with some of its fields set.
fn message(descriptor: &MessageDescriptor, choices: &mut Choices<'_>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let json = !is_drawn(&field);
        if choices.below(3) == 0 || json {
            continue;
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { continue };
            let key = match entry.map_entry_key_field().kind() {
                Kind::String => MapKey::String("x".to_owned()),
                _ => MapKey::I32(7),
            };
            let value = value(&entry.map_entry_value_field().kind(), choices);
            Value::Map([(key, value)].into())
        } else if field.is_list() {
            Value::List((0..choices.below(3)).map(|_| value(&field.kind(), choices)).collect())
        } else {
            value(&field.kind(), choices)
        };
        message.set_field(&field, value);
    }
    message
}

fn value(kind: &Kind, choices: &mut Choices<'_>) -> Value {
    match kind {
        Kind::Bool => Value::Bool(choices.below(2) == 0),
        Kind::Int32 => Value::I32(*choices.pick(&[0, 1, -1, i32::MAX, i32::MIN])),
        Kind::Int64 => Value::I64(*choices.pick(&[0, 1, -1, i64::MAX, i64::MIN, 1 << 40])),
        Kind::Uint32 => Value::U32(*choices.pick(&[0, 1, u32::MAX])),
        Kind::Uint64 => Value::U64(*choices.pick(&[0, 1, u64::MAX])),
        Kind::Float => Value::F32(*choices.pick(&[0.0, -1.5, f32::NAN, f32::INFINITY])),
        Kind::Double => Value::F64(*choices.pick(&[0.0, 2.0, -1.5, f64::NAN, f64::MAX])),
        Kind::String => Value::String((*choices.pick(&["", "a", "ä-b", "12"])).to_owned()),
        Kind::Bytes => Value::Bytes(choices.pick(&[&b""[..], b"a", b"\xff"]).to_vec().into()),
        Kind::Enum(_) => Value::EnumNumber(*choices.pick(&[0, 1, 2, 99])),
        Kind::Message(descriptor) => Value::Message(message(descriptor, choices)),
        other => Value::default_value(other),
    }
}

fn one_step(field: &str, expression: &str) -> Option<Compiled> {
    let quoted = expression.replace('\'', "''");
    let source = format!(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    \
         call: shop.v1.Everything/Take\n    with: {{ {field}: '{quoted}' }}\n"
    );
    Draft::parse("t.yaml", &source).ok()?.compile(&DESCRIPTORS).ok()
}

#[test]
fn an_accepted_expression_meets_no_type_error() {
    let all = DESCRIPTORS.message("shop.v1.All").unwrap();
    let fields: Vec<FieldDescriptor> =
        all.fields().filter(|field| is_drawn(field) && field.name() != "prices").collect();
    let [accepted, refused, built, faults] = [const { AtomicUsize::new(0) }; 4];
    let mut runner =
        TestRunner::new(Config { cases: 1_000, failure_persistence: None, ..Config::default() });
    let bytes = proptest::collection::vec(any::<u8>(), 0..400);
    let outcome = runner.run(&bytes, |bytes| {
        let mut choices = Choices(bytes.iter());
        let field = choices.pick(&fields).clone();
        let depth = 1 + choices.below(3);
        let expression = expression(kind_of(&field), depth, &mut choices);
        let Some(compiled) = one_step(field.name(), &expression) else {
            refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        accepted.fetch_add(1, Ordering::Relaxed);
        for _ in 0..4 {
            let input = message(&all, &mut choices).encode_to_vec();
            let facts = compiled.facts(Identity { id: "s-1", ..Identity::default() }, &input);
            match compiled.prepare_call(StepId(0), &facts) {
                Ok(_) => built.fetch_add(1, Ordering::Relaxed),
                Err(fault) => {
                    prop_assert_ne!(fault.kind, ErrorKind::Type, "{}: {}", field.name(), fault);
                    faults.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = [accepted, refused, built, faults].map(AtomicUsize::into_inner);
    assert!(seen.iter().all(|count| *count > 100), "accepted, refused, built, faults: {seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        if let Ok(draft) = Draft::parse("t.yaml", &text) {
            let _ = draft.compile(&DESCRIPTORS);
        }
    }

    #[test]
    fn no_damage_to_a_definition_makes_it_panic(
        cuts in proptest::collection::vec((0_usize..PLACE.len(), 0_usize..30, "[ -~\n\t¿]{0,6}"), 1..4)
    ) {
        let mut source = PLACE.to_owned();
        for (at, length, insert) in cuts {
            let at = (0..=at.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap();
            let end = (at + length).min(source.len());
            let end = (end..=source.len()).find(|end| source.is_char_boundary(*end)).unwrap();
            source.replace_range(at..end, &insert);
        }
        let compiled = Draft::parse("t.yaml", &source).map(|draft| draft.compile(&DESCRIPTORS));
        if let Ok(Err(problems)) = compiled {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(!problem.cure.is_empty(), "{}", problem);
            }
        }
    }

    #[test]
    fn no_expression_makes_the_checker_panic(
        tokens in proptest::collection::vec(
            prop::sample::select(vec![
                "request", ".", "lines", "quote", "[", "]", "(", ")", "{", "}", "'a'", "1", "1u",
                "2.5", "+", "-", "*", "/", "%", "&&", "||", "!", "==", "<", "in", "?", ":", ",",
                "has", "map", "filter", "all", "size", "x", "null", "true", "saga", "id", "\\",
                "\"", "'", "b'", "r'", "$0", "@has", "ä", "`", "\u{0}", "9223372036854775808", "0x",
                "shop.v1.Line{", "sku:", "?.", "[?", "int", "type",
            ]),
            0..14,
        ),
        spaced in any::<bool>(),
    ) {
        let expression = tokens.join(if spaced { " " } else { "" });
        let _ = one_step("text", &expression);
    }
}
