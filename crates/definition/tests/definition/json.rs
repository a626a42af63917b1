//! JSON that becomes messages: at the start of a saga and in its steps, by the rules of proto3 JSON.

use std::sync::LazyLock;

use bytes::Bytes;
use definition::{Compiled, ErrorKind, EvaluationError, Identity, Prepared};
use proptest::prelude::*;
use prost_reflect::{DynamicMessage, MapKey, MessageDescriptor, SerializeOptions, Value};
use saga::StepId;

use crate::shop::{compile, descriptors};

static ALL: LazyLock<MessageDescriptor> =
    LazyLock::new(|| descriptors().message("shop.v1.All").unwrap());

fn all() -> MessageDescriptor {
    ALL.clone()
}

/// A saga of one step that takes `with` in an `All`, from any JSON.
fn taking(with: &str) -> Compiled {
    compile(&format!(
        "saga: t\nversion: 1\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n    with: {with}\n"
    ))
}

fn built(compiled: &Compiled, input: &[u8]) -> Result<DynamicMessage, EvaluationError> {
    let facts = compiled.facts(Identity::default(), input);
    match compiled.prepare_call(StepId(0), &facts)? {
        Prepared::Request(bytes) => Ok(DynamicMessage::decode(all(), bytes).unwrap()),
        Prepared::Skip => panic!("the step is skipped"),
    }
}

/// What the step takes when the saga is started with `json`.
fn taken(with: &str, json: &str) -> Result<DynamicMessage, EvaluationError> {
    let compiled = taking(with);
    let input = compiled.request_from_json(json).unwrap();
    built(&compiled, &input)
}

fn field(message: &DynamicMessage, name: &str) -> Value {
    message.get_field_by_name(name).unwrap().into_owned()
}

/// The bytes by which a start with `json` is known again.
fn bytes(json: &str) -> Bytes {
    taking("{}").request_from_json(json).unwrap()
}

/// How the library reads the same JSON.
fn reference(json: &str) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(all(), &mut json).unwrap()
}

#[test]
fn whole_numbers_reach_their_fields_however_large_and_however_written() {
    for (number, expected) in [
        ("9007199254740993", 9_007_199_254_740_993),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("3544790567247868102", 3_544_790_567_247_868_102),
        ("-9223372036854775808", i64::MIN),
        ("\"9007199254740993\"", 9_007_199_254_740_993),
        ("\"1e3\"", 1_000),
        ("1e3", 1_000),
        ("1.0", 1),
        ("-0", 0),
    ] {
        for with in
            ["{ big: request.n }", "{ big: \"[request.n][0]\" }", "{ big: \"request.o.n\" }"]
        {
            let json = format!("{{\"n\": {number}, \"o\": {{\"n\": {number}}}}}");
            let message = taken(with, &json).unwrap();
            assert_eq!(field(&message, "big"), Value::I64(expected), "{number} in {with}");
        }
    }
    let largest = taken("{ ubig: request.n }", r#"{"n": 18446744073709551615}"#).unwrap();
    assert_eq!(field(&largest, "ubig"), Value::U64(u64::MAX));
    let sum =
        taken("{ big: request.n + 1, text: string(request.n) }", r#"{"n": 9007199254740993}"#);
    let sum = sum.unwrap();
    assert_eq!(field(&sum, "big"), Value::I64(9_007_199_254_740_994));
    assert_eq!(field(&sum, "text"), Value::String("9007199254740993".to_owned()));
}

#[test]
fn a_number_that_its_field_cannot_hold_is_a_fault_and_never_another_number() {
    for (with, number, what) in [
        ("big", "9223372036854775808", "9223372036854775808 does not fit into int64"),
        ("big", "\"9223372036854775808\"", "9223372036854775808 does not fit into int64"),
        ("big", "\"1e400\"", "1e400 does not fit into int64"),
        ("big", "1.5", "1.5 does not fit into int64"),
        ("big", "\"1.5\"", "1.5 does not fit into int64"),
        ("big", "\"12a\"", "`12a` is no int64"),
        ("big", "\" 12\"", "` 12` is no int64"),
        ("big", "\"+12\"", "`+12` is no int64"),
        ("ubig", "-1", "-1 does not fit into uint64"),
        ("ubig", "18446744073709551616", "1.8446744073709552e19 does not fit into uint64"),
        ("real", "9007199254740993", "9007199254740993 does not fit into double"),
        ("real", "\"inf\"", "`inf` is no double"),
        ("single", "16777217", "16777217.0 does not fit into float"),
        ("single", "1e39", "1e39 does not fit into float"),
        ("any", "9007199254740993", "9007199254740993 does not fit into double"),
        ("raw", "\"~\"", "`~` is not base64, as bytes are written in JSON"),
        ("flag", "\"true\"", "a string where bool belongs"),
        ("text", "1", "a double where string belongs"),
        (
            "money",
            "{\"minor_units\": 1, \"minorUnits\": 1}",
            "`minor_units` is given under both of its names",
        ),
        ("money", "{\"minorUnits\": \"x\"}", "minorUnits: `x` is no int64"),
        (
            "lines",
            "[{}, {\"price\": {\"minorUnits\": 0.5}}]",
            "[1].price.minorUnits: 0.5 does not fit into int64",
        ),
        ("numbers", "[1, null]", "[1]: null inside a list"),
        ("prices", "{\"1\": {}, \"01\": {}}", "the key `1` is given twice"),
        ("prices", "{\"one\": {}}", "`one` is no key of type int"),
        ("counts", "{\"a\": null}", "[a]: null inside a map"),
    ] {
        let json = format!("{{\"x\": {number}}}");
        let fault = match taken(&format!("{{ {with}: request.x }}"), &json) {
            Err(fault) => fault,
            Ok(message) => panic!("{with}: {number} is {:?}", field(&message, with)),
        };
        assert_eq!(fault.what, what, "{with}: {number}");
        assert_ne!(fault.kind, ErrorKind::Budget);
    }
}

#[test]
fn two_members_of_one_oneof_are_a_fault() {
    let json = r#"{"left": "a", "right": 1}"#;
    let fault = taken("request.all", &format!("{{\"all\": {json}}}")).unwrap_err();
    assert!(fault.what.contains("are both of `choice`"), "{fault}");
    let typed = compile(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n",
    );
    let refused = typed.request_from_json(json).unwrap_err().to_string();
    assert!(refused.contains("are both of `choice`"), "{refused}");
    // Null is no value, so one is given.
    let one = typed.request_from_json(r#"{"left": "a", "right": null}"#).unwrap();
    assert_eq!(DynamicMessage::decode(all(), one).unwrap(), reference(r#"{"left": "a"}"#));
}

#[test]
fn a_text_is_taken_where_proto3_json_takes_one() {
    let json = r#"{"small":"-1","big":"-9000000000","usmall":"1","ubig":"18446744073709551615","single":"1.5",
        "real":"NaN","raw":"-_8","state":"STATE_PAID","at":"2026-01-31T12:00:00.000000001Z","span":"-1.500s",
        "mask":"fooBar,baz","wrapped":"","counted":"9007199254740993","doubled":"-Infinity","blob":"AAE",
        "object":{"a":{"b":[1,null,true]}},"any":null,"list":[null,"x"],"prices":{"7":{"minorUnits":"5"}},
        "switches":{"true":"a"},"states":["STATE_OPEN",2],"money":null,"texts":null,"counts":null,"nothing":null}"#;
    let expected = reference(json);
    let fields = all();
    let names = fields.fields().map(|field| field.name().to_owned());
    let names: Vec<String> = names.filter(|name| json.contains(&format!("\"{name}\":"))).collect();
    assert_eq!(names.len(), 25);
    let with = |form: &str| {
        let fields: Vec<String> =
            names.iter().map(|name| format!("{name}: \"{}\"", form.replace('$', name))).collect();
        format!("{{ {} }}", fields.join(", "))
    };
    for form in
        ["request.$", "[request.$][0]", "true ? request.$ : request.$", "{'a': request.$}.a"]
    {
        let message = taken(&with(form), json).unwrap_or_else(|fault| panic!("{form}: {fault}"));
        // NaN is equal to nothing, so the bytes are compared.
        assert_eq!(
            proto::canonical::encode(message),
            proto::canonical::encode(expected.clone()),
            "{form}"
        );
    }
}

#[test]
fn requests_that_differ_are_other_bytes_and_the_order_of_members_is_none() {
    let different = [
        "{}",
        r#"{"a": 1}"#,
        r#"{"a": 1.0}"#,
        r#"{"a": 1e0}"#,
        r#"{"a": "1"}"#,
        r#"{"a": "1.0"}"#,
        r#"{"a": true}"#,
        r#"{"a": null}"#,
        r#"{"a": []}"#,
        r#"{"a": {}}"#,
        r#"{"a": [1]}"#,
        r#"{"a": 0}"#,
        r#"{"a": -0}"#,
        r#"{"a": -0.0}"#,
        r#"{"a": 9007199254740992}"#,
        r#"{"a": 9007199254740993}"#,
        r#"{"a": "9007199254740993"}"#,
        r#"{"a": 0.1}"#,
        r#"{"a": 0.10}"#,
        r#"{"a": 0.10000000000000001}"#,
        r#"{"a": ""}"#,
        r#"{"a": false}"#,
    ];
    let known: std::collections::HashSet<Bytes> =
        different.iter().map(|json| bytes(json)).collect();
    assert_eq!(known.len(), different.len());
    let one = bytes(r#"{"a": {"x": 1.50, "y": [2]}, "b": "é", "c": 3}"#);
    let other = bytes("{\"c\":3,\n\"b\": \"\\u00e9\", \"a\":{\"y\" :[2],\"x\":1.50}}");
    assert_eq!(one, other);
}

/// The bytes of a start that a program before this one wrote: a `google.protobuf.Struct`.
#[test]
fn what_was_journaled_as_a_struct_is_read_as_before_and_plain_numbers_are_still_written_so() {
    let json = r#"{"name":"x","n":3,"half":0.5,"deep":{"list":[1,null,true,"a"]}}"#;
    let pool = prost_reflect::DescriptorPool::global();
    let kind = pool.get_message_by_name("google.protobuf.Struct").unwrap();
    let mut text = serde_json::Deserializer::from_str(json);
    let before = DynamicMessage::deserialize(kind, &mut text).unwrap();
    let before = proto::canonical::encode(before);
    assert_eq!(bytes(json), before);
    let with = "{ text: request.name, small: request.n, real: request.half, any: request.deep }";
    let message = built(&taking(with), &before).unwrap();
    assert_eq!(
        message,
        reference(r#"{"text":"x","small":3,"real":0.5,"any":{"list":[1,null,true,"a"]}}"#)
    );
}

#[test]
fn a_typed_input_is_refused_where_a_number_would_become_another_or_a_name_comes_twice() {
    let typed = compile(
        "saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n",
    );
    for (json, refusal) in [
        (
            r#"{"ubig": 18446744073709551616}"#,
            "ubig: 1.8446744073709552e19 does not fit into uint64",
        ),
        (r#"{"big": 9223372036854775808.0}"#, "big: 9223372036854775808 does not fit into int64"),
        (r#"{"lines": [{"quantity": -1}]}"#, "lines[0].quantity: -1 does not fit into uint32"),
        (r#"{"big": 1, "big": 2}"#, "big: is given twice; keep one of them"),
        (
            r#"{"real": 1e400}"#,
            "real: 1e400 is no number that 64 bits or a double hold as it is written; write it as a string, or with fewer digits",
        ),
        (r#"{"money": {"unknown": 1}}"#, "money: no field `unknown` in shop.v1.Money"),
        (r#"{"money": 5}"#, "money: a double where shop.v1.Money belongs"),
    ] {
        assert_eq!(typed.request_from_json(json).unwrap_err().to_string(), refusal, "{json}");
    }
}

#[test]
fn a_packed_message_is_read_where_its_type_is_known() {
    let json = r#"{"packed": {"@type": "type.googleapis.com/shop.v1.Money", "currency": "EUR", "minorUnits": 9007199254740993}}"#;
    let message = taken("{ packed: request.packed }", json).unwrap();
    assert_eq!(message, reference(json));
    let unknown = json.replace("shop.v1.Money", "shop.v1.Monet");
    let fault = taken("{ packed: request.packed }", &unknown).unwrap_err();
    assert!(fault.what.contains("shop.v1.Monet"), "{fault}");
}

/// Any value of a field, drawn from what is at the edges.
fn value(kind: &prost_reflect::Kind, choices: &mut Vec<u8>) -> Value {
    use prost_reflect::Kind;
    let pick = choices.pop().unwrap_or(0);
    let at = |count: usize| usize::from(pick) % count;
    match kind {
        Kind::Bool => Value::Bool(pick.is_multiple_of(2)),
        Kind::Int32 => Value::I32([0, 1, -1, i32::MAX, i32::MIN][at(5)]),
        Kind::Int64 => Value::I64([0, 1, (1 << 53) + 1, i64::MAX, i64::MIN][at(5)]),
        Kind::Uint32 => Value::U32([0, 1, u32::MAX][at(3)]),
        Kind::Uint64 => Value::U64([0, 1, (1 << 53) + 1, u64::MAX][at(4)]),
        Kind::Float => Value::F32([0.0, -1.5, 0.1, f32::MAX, f32::INFINITY][at(5)]),
        Kind::Double => {
            Value::F64([0.0, -0.0, 0.1, 1e23, f64::MAX, 5e-324, f64::NEG_INFINITY][at(7)])
        }
        Kind::String => Value::String(["", "a", "ä\u{1F600}\"\\\n", "12", "NaN"][at(5)].to_owned()),
        Kind::Bytes => {
            Value::Bytes([&b""[..], b"a", b"\xff\xfe", b"\xfb\xff"][at(4)].to_vec().into())
        }
        Kind::Enum(of) if of.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(_) => Value::EnumNumber([0, 1, 2, 99][at(4)]),
        Kind::Message(of) => Value::Message(message(of, choices)),
        other => Value::default_value(other),
    }
}

/// A message with some of its fields set.
fn message(of: &MessageDescriptor, choices: &mut Vec<u8>) -> DynamicMessage {
    let written = |json: &str| {
        DynamicMessage::deserialize(of.clone(), &mut serde_json::Deserializer::from_str(json))
            .unwrap()
    };
    let pick = usize::from(choices.pop().unwrap_or(0));
    match of.full_name() {
        "google.protobuf.Timestamp" => {
            return written(
                ["\"2026-01-31T12:00:00Z\"", "\"0001-01-01T00:00:00.000000001Z\""][pick % 2],
            );
        }
        "google.protobuf.Duration" => return written(["\"0s\"", "\"-1.000000001s\""][pick % 2]),
        "google.protobuf.FieldMask" => return written(["\"\"", "\"fooBar.baz,x\""][pick % 2]),
        // The library writes an infinite one as null.
        "google.protobuf.DoubleValue" => return written(["0.1", "-1e300"][pick % 2]),
        "google.protobuf.Struct" => {
            return written(["{}", r#"{"a": {"b": [null, 1.5, "x"]}}"#][pick % 2]);
        }
        "google.protobuf.ListValue" => return written(["[]", r#"[[], {}, null, true]"#][pick % 2]),
        "google.protobuf.Value" => {
            return written(["null", "1e300", "\"x\"", "{\"a\": []}"][pick % 4]);
        }
        "google.protobuf.Any" => {
            return written(
                "{\"@type\": \"type.googleapis.com/shop.v1.Money\", \"minorUnits\": \"5\"}",
            );
        }
        _ => {}
    }
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        if choices.pop().unwrap_or(0).is_multiple_of(3) {
            continue;
        }
        let value = if field.is_map() {
            let prost_reflect::Kind::Message(entry) = field.kind() else { continue };
            let key = match value(&entry.map_entry_key_field().kind(), choices).into_map_key() {
                Some(key) => key,
                None => MapKey::Bool(true),
            };
            Value::Map([(key, value(&entry.map_entry_value_field().kind(), choices))].into())
        } else if field.is_list() {
            Value::List(
                (0..usize::from(choices.pop().unwrap_or(0)) % 3)
                    .map(|_| value(&field.kind(), choices))
                    .collect(),
            )
        } else {
            value(&field.kind(), choices)
        };
        message.set_field(&field, value);
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A message that the library writes as JSON is the same message again: as a typed input, as a whole, and field by
    /// field, through a path and through the evaluator.
    #[test]
    fn json_becomes_the_message_that_the_library_wrote(
        choices in prop::collection::vec(any::<u8>(), 0..300), by_proto_name: bool, strings: bool,
    ) {
        let original = message(&all(), &mut choices.clone());
        let options = SerializeOptions::new().use_proto_field_name(by_proto_name).stringify_64_bit_integers(strings);
        let mut json = Vec::new();
        original.serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options).unwrap();
        let json = String::from_utf8(json).unwrap();
        let expected = proto::canonical::encode(original);

        let typed = compile("saga: t\nversion: 1\ninput: shop.v1.All\nsteps:\n  - step: take\n    call: shop.v1.Everything/Take\n");
        let read = typed.request_from_json(&json).map_err(|error| TestCaseError::fail(format!("{error} in {json}")))?;
        prop_assert_eq!(&read, &expected, "typed: {}", json);
        let whole = taken("request.all", &format!("{{\"all\": {json}}}")).map_err(|error| TestCaseError::fail(format!("{error} in {json}")))?;
        prop_assert_eq!(proto::canonical::encode(whole), expected.clone(), "whole: {}", json);

        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        for form in ["request.$", "[request.$][0]"] {
            let with: Vec<String> = all().fields().filter_map(|field| {
                let name = if by_proto_name { field.name().to_owned() } else { field.json_name().to_owned() };
                members.contains_key(&name).then(|| format!("{}: \"{}\"", field.name(), form.replace('$', &name)))
            }).collect();
            let built = taken(&format!("{{ {} }}", with.join(", ")), &json)
                .map_err(|error| TestCaseError::fail(format!("{error} in {json}")))?;
            prop_assert_eq!(proto::canonical::encode(built), expected.clone(), "{}: {}", form, json);
        }
    }
}
