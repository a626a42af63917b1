//! What is read is what `serde_json` reads, but for numbers, which are kept or refused, and for names given twice.

use proptest::prelude::*;
use prost::Message as _;

use super::super::{MAX_DEPTH, object_type};
use super::*;

fn object(text: &str) -> Read<DynamicMessage> {
    super::object(text, MAX_DEPTH)
}

fn refused(text: &str) -> String {
    object(text).unwrap_err().to_string()
}

/// The JSON that a `Value` of ours holds, numbers as their texts.
fn plain(value: &Value) -> serde_json::Value {
    let message = value.as_message().unwrap();
    let (field, value) = message.fields().next().unwrap();
    match (field.name(), value) {
        ("null_value", _) => serde_json::Value::Null,
        ("bool_value", Value::Bool(value)) => (*value).into(),
        ("string_value", Value::String(text)) => text.clone().into(),
        ("number_value", Value::F64(double)) => format!("#{double}").into(),
        ("number_text", Value::String(text)) => format!("#{text}").into(),
        ("list_value", Value::Message(array)) => {
            match array.get_field_by_name("values").unwrap().as_ref() {
                Value::List(items) => items.iter().map(plain).collect(),
                other => panic!("{other:?}"),
            }
        }
        ("struct_value", Value::Message(object)) => members(object),
        other => panic!("{other:?}"),
    }
}

fn members(object: &DynamicMessage) -> serde_json::Value {
    let fields = object.get_field_by_name("fields").unwrap();
    let members = fields.as_map().unwrap().iter();
    members.map(|(name, value)| (name.as_str().unwrap().to_owned(), plain(value))).collect()
}

#[test]
fn numbers_are_kept_as_they_are_written() {
    let read = object(
        r#"{"a": 9007199254740993, "b": 1, "c": 1.0, "d": -0, "e": 1e3, "f": [0.5, 0.50], "g": "1"}"#,
    );
    assert_eq!(
        members(&read.unwrap()).to_string(),
        r##"{"a":"#9007199254740993","b":"#1","c":"#1.0","d":"#-0","e":"#1e3","f":["#0.5","#0.50"],"g":"1"}"##
    );
}

#[test]
fn what_is_refused_is_told_with_its_place() {
    assert_eq!(
        refused(r#"{"lines": [{"price": 1}, {"price": 1e400}]}"#),
        "lines[1].price: 1e400 is no number that 64 bits or a double hold as it is written; write it as a string, or \
         with fewer digits"
    );
    let long = refused(&format!("{{\"n\": 0.{}}}", "1".repeat(500_000)));
    assert!(long.starts_with("n: 0.11111") && long.len() < 200, "{long}");
    assert_eq!(refused(r#"{"a": {"b": 1, "\u0062": 1}}"#), "a.b: is given twice; keep one of them");
    for (text, what) in [
        ("", "line 1, column 1: an object: `{ \"name\": value }` is expected, not the end"),
        ("[1]", "line 1, column 1: an object: `{ \"name\": value }` is expected, not `[`"),
        ("{} {}", "line 1, column 4: the end is expected, not `{`"),
        ("{\n \"ä\" 1}", "line 2, column 6: `:` is expected, not `1`"),
        ("{\"a\": 1,}", "line 1, column 9: a name in double quotes is expected, not `}`"),
        ("{\"a\": [1 2]}", "a: line 1, column 10: `,` or `]` is expected, not `2`"),
        ("{\"a\": 01}", "a: line 1, column 7: a number is expected, not `0`"),
        ("{\"a\": 1x}", "a: line 1, column 7: a number is expected, not `1`"),
        ("{\"a\": NaN}", "a: line 1, column 7: a value is expected, not `N`"),
        ("{\"a\": ", "a: line 1, column 7: a value is expected, not the end"),
        ("{\"a", "line 1, column 2: the end of a string is expected, not `\"`"),
    ] {
        assert_eq!(refused(text), what, "{text}");
    }
    assert!(refused("{\"a\": \"\u{1}\"}").contains("without control characters"));
}

#[test]
fn what_is_taken_is_not_too_deep_to_be_decoded() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"a\": {}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("[", "]"), ("{\"b\":", "}")] {
        let deepest = object(&nested(open, close, MAX_DEPTH - 1)).unwrap();
        let bytes = deepest.encode_to_vec();
        assert_eq!(DynamicMessage::decode(object_type(), bytes.as_slice()).unwrap(), deepest);
        assert!(refused(&nested(open, close, MAX_DEPTH)).contains("deeper than 32 levels"));
        assert!(refused(&nested(open, close, 100_000)).contains("deeper than 32 levels"));
    }
}

/// Any JSON, written with random spaces.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[\\\\\"/\u{1F600}\u{7f} a-c]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn numbers_as_texts(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Number(number) => format!("#{number}").into(),
        serde_json::Value::Array(items) => items.into_iter().map(numbers_as_texts).collect(),
        serde_json::Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, numbers_as_texts(value))).collect()
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn json_is_read_as_it_was_written(json in prop::collection::btree_map(any::<String>(), json(), 0..6), pretty: bool) {
        let json = serde_json::Value::Object(json.into_iter().collect());
        let text = if pretty { format!(" {json:#}\n\t") } else { json.to_string() };
        let read = object(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(members(&read), numbers_as_texts(json));
    }

    /// What `serde_json` does not read, this does not either; damaged text makes neither panic.
    #[test]
    fn what_is_no_json_is_refused(tokens in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "\"a\"", "\"", "\\", "1", "-", ".", "e", "0", "true", "nul", "l", " ", "\n", "ä", "\u{0}",
    ]), 0..14)) {
        let text = format!("{{{}}}", tokens.concat());
        if object(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }
}
