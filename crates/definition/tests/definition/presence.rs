//! What is not set stays unset, and what is set to its default stays set, however it is passed on.

use std::sync::LazyLock;

use definition::{Compiled, Descriptors, Draft, EvaluationError, Identity, Prepared};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use saga::StepId;

/// Every kind of field that has presence, in the syntax of proto3.
const PROTO3: &str = r#"
syntax = "proto3";
package trip.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
service Trips { rpc Book(Trip) returns (Trip); }
enum Class { CLASS_UNSPECIFIED = 0; CLASS_FIRST = 1; }
message Trip {
  Leg leg = 1;
  repeated Leg legs = 2;
  map<string, Leg> named = 3;
  bool there = 4;
  Plain plain = 5;
  map<string, int64> counts = 6;
  google.protobuf.Struct json = 7;
  repeated string texts = 8;
}
message Plain { int64 amount = 1; string text = 2; Leg leg = 3; }
message Leg {
  optional bool flag = 1;
  optional int32 small = 2;
  optional sint64 big = 3;
  optional fixed32 usmall = 4;
  optional uint64 ubig = 5;
  optional float single = 6;
  optional double real = 7;
  optional string text = 8;
  optional bytes raw = 9;
  optional Class class = 10;
  Plain plain = 11;
  Leg next = 12;
  oneof way { string rail = 13; int64 road = 14; Plain sea = 15; google.protobuf.StringValue air = 16; }
  google.protobuf.BoolValue flagged = 17;
  google.protobuf.Int64Value counted = 18;
  google.protobuf.DoubleValue doubled = 19;
  google.protobuf.StringValue named = 20;
  google.protobuf.BytesValue blob = 21;
  google.protobuf.Timestamp at = 22;
  google.protobuf.Duration span = 23;
  google.protobuf.FieldMask mask = 24;
  google.protobuf.Struct object = 25;
  google.protobuf.Value any = 26;
  google.protobuf.ListValue list = 27;
  google.protobuf.Any packed = 28;
}
"#;

/// The same in that of proto2, where a field that is not set may read as anything.
fn proto2() -> String {
    let mut source = PROTO3.replace("proto3", "proto2");
    for (kind, default) in [
        ("bool flag = 1", "true"),
        ("int32 small = 2", "-7"),
        ("sint64 big = 3", "9007199254740993"),
        ("string text = 8", "\"none\""),
        ("bytes raw = 9", "\"\\xff\""),
        ("Class class = 10", "CLASS_FIRST"),
    ] {
        source = source.replace(&format!("{kind};"), &format!("{kind} [default = {default}];"));
    }
    let singular = [
        "Leg leg = 1;",
        "bool there = 4;",
        "Plain plain =",
        "google.protobuf.Struct json",
        "int64 amount",
        "{ string text = 2",
        "string text = 2; Leg leg = 3",
        "Leg leg = 3",
        "Leg next",
    ];
    for field in singular {
        let (start, rest) = match field.strip_prefix("{ ") {
            Some(rest) => ("{ ", rest),
            None => ("", field),
        };
        source = source.replace(field, &format!("{start}optional {rest}"));
    }
    source
        .replace("\n  google.protobuf", "\n  optional google.protobuf")
        .replace("optional optional", "optional")
        .replace("repeated optional", "repeated")
}

fn described(source: &str) -> Descriptors {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trip.proto");
    std::fs::write(&path, source).unwrap();
    let mut descriptors = Descriptors::new();
    descriptors.add_file(&path, &[]).unwrap_or_else(|error| panic!("{error:?}\n{source}"));
    descriptors
}

static SYNTAXES: LazyLock<[Descriptors; 2]> =
    LazyLock::new(|| [described(PROTO3), described(&proto2())]);

/// A saga of one step that takes `with` in a `Trip`, from a request that is one.
fn taking(with: &str, descriptors: &Descriptors) -> Compiled {
    let source = format!(
        "saga: t\nversion: 1\ninput: trip.v1.Trip\nsteps:\n  - step: book\n    \
         call: trip.v1.Trips/Book\n    with: {with}\n"
    );
    let draft = Draft::parse("t.yaml", &source).unwrap();
    draft.compile(descriptors).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn built(compiled: &Compiled, trip: &DynamicMessage) -> Result<DynamicMessage, EvaluationError> {
    let input = trip.encode_to_vec();
    let facts = compiled.facts(Identity::default(), &input);
    match compiled.prepare_call(StepId(0), &facts)? {
        Prepared::Request(bytes) => Ok(DynamicMessage::decode(trip_type(trip), bytes).unwrap()),
        Prepared::Skip => panic!("the step is skipped"),
    }
}

fn trip_type(trip: &DynamicMessage) -> MessageDescriptor {
    use prost_reflect::ReflectMessage as _;
    trip.descriptor()
}

/// What the step takes in the syntax of proto3 when it is given the trip that is written so.
fn taken(with: &str, trip: &str) -> Result<String, EvaluationError> {
    let descriptors = &SYNTAXES[0];
    let mut json = serde_json::Deserializer::from_str(trip);
    let trip = descriptors.message("trip.v1.Trip").unwrap();
    let trip = DynamicMessage::deserialize(trip, &mut json).unwrap();
    built(&taking(with, descriptors), &trip).map(|built| serde_json::to_string(&built).unwrap())
}

/// A value of a field: its zero, or another.
fn value(kind: &Kind, zero: bool) -> Value {
    if zero && !matches!(kind, Kind::Message(_)) {
        return match kind {
            Kind::Enum(_) => Value::EnumNumber(0),
            kind => Value::default_value(kind),
        };
    }
    match kind {
        Kind::Bool => Value::Bool(true),
        Kind::Int32 => Value::I32(3),
        Kind::Int64 | Kind::Sint64 => Value::I64(i64::MIN),
        Kind::Fixed32 => Value::U32(4),
        Kind::Uint64 => Value::U64(u64::MAX),
        Kind::Float => Value::F32(0.1),
        Kind::Double => Value::F64(0.1),
        Kind::String => Value::String("x".to_owned()),
        Kind::Bytes => Value::Bytes(vec![0, 255].into()),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(of) => {
            let mut message = DynamicMessage::new(of.clone());
            let field = match (of.full_name(), zero) {
                // What has no kind set is no JSON, which no expression makes.
                ("google.protobuf.Value", true) => of.get_field_by_name("null_value"),
                ("google.protobuf.Value", false) => of.get_field_by_name("string_value"),
                (_, true) => None,
                (
                    "google.protobuf.Any" | "google.protobuf.Struct" | "google.protobuf.ListValue",
                    _,
                ) => None,
                _ => of
                    .fields()
                    .find(|field| !field.is_list() && !matches!(field.kind(), Kind::Message(_))),
            };
            if let Some(field) = field {
                message.set_field(&field, value(&field.kind(), zero));
            }
            Value::Message(message)
        }
        other => panic!("{other:?}"),
    }
}

fn leg(of: &MessageDescriptor, choices: &[u8]) -> DynamicMessage {
    let mut leg = DynamicMessage::new(of.clone());
    for (field, choice) in of.fields().zip(choices) {
        match choice % 3 {
            0 => {}
            zero => leg.set_field(&field, value(&field.kind(), zero == 1)),
        }
    }
    leg
}

/// How a leg's field can be written in an expression; each comes to the same.
const FORMS: [&str; 17] = [
    "request.leg.$",
    "[request.leg.$][0]",
    "[[request.leg.$]][0][0]",
    "{'a': request.leg.$}.a",
    "{'a': {'b': [request.leg.$]}}['a']['b'][0]",
    "true ? request.leg.$ : request.legs[0].$",
    "false ? request.legs[0].next.$ : request.leg.$",
    "(request.there ? request.leg : request.leg).$",
    "[request.leg].map(x, x.$)[0]",
    "[request.leg].map(x, {'f': x.$})[0].f",
    "[request.leg].filter(x, true)[0].$",
    "[request.leg.$].filter(x, true)[0]",
    "[request.leg.$].map(x, [x]).map(x, x[0])[0]",
    "([] + [request.leg.$])[0]",
    "request.legs[0].$",
    "request.named.a.$",
    "dyn(request.named['a'].$)",
];

fn fields(of: &MessageDescriptor, form: &str, quote: &str) -> String {
    let written = |field: FieldDescriptor| {
        let expression = form.replace('$', field.name());
        match quote {
            "" => format!("'{}': {expression}", field.name()),
            quote => format!("{}: {quote}{expression}{quote}", field.name()),
        }
    };
    of.fields().map(written).collect::<Vec<_>>().join(", ")
}

/// The forms in which a whole leg can be written.
fn whole_legs(of: &MessageDescriptor, form: &str) -> Vec<String> {
    // Of a oneof only paths and conditions may be absent as far as the checker knows.
    let one_by_one = ["request.leg.$", "request.legs[0].$", "request.named.a.$"];
    let mut forms = vec![format!("\"{{{}}}\"", fields(of, form, "")), "request.leg".to_owned()];
    if one_by_one.contains(&form) {
        forms.push(format!("{{ {} }}", fields(of, one_by_one[0], "\"")));
        forms.push(format!("{{ {} }}", fields(of, "request.there ? request.leg.$ : null", "\"")));
    }
    forms
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A leg is the same leg again when each of its fields is passed on, through every form of expression.
    #[test]
    fn a_field_is_set_where_what_it_is_built_from_is(
        choices in prop::collection::vec(0_u8..3, 28), form in prop::sample::select(FORMS.to_vec()), syntax in 0_usize..2,
    ) {
        let descriptors = &SYNTAXES[syntax];
        let mut trip = DynamicMessage::new(descriptors.message("trip.v1.Trip").unwrap());
        let kind = descriptors.message("trip.v1.Leg").unwrap();
        let leg = Value::Message(leg(&kind, &choices));
        trip.set_field_by_name("there", Value::Bool(true));
        trip.set_field_by_name("leg", leg.clone());
        trip.set_field_by_name("legs", Value::List(vec![leg.clone()]));
        let named = [(prost_reflect::MapKey::String("a".to_owned()), leg.clone())];
        trip.set_field_by_name("named", Value::Map(named.into()));
        for whole in whole_legs(&kind, form) {
            let compiled = taking(&format!("{{ leg: {whole} }}"), descriptors);
            let built = built(&compiled, &trip).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
            let found = built.get_field_by_name("leg").unwrap().into_owned();
            prop_assert_eq!(found.as_message().unwrap().encode_to_vec(), leg.as_message().unwrap().encode_to_vec(), "{} of {}", whole, leg.as_message().unwrap());
        }
        // Through a list of messages.
        let compiled = taking(&format!("{{ legs: \"request.legs.map(l, {{{}}})\" }}", fields(&kind, "l.$", "")), descriptors);
        let built = built(&compiled, &trip).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        prop_assert_eq!(&built.get_field_by_name("legs").unwrap(), &trip.get_field_by_name("legs").unwrap());
    }
}

#[test]
fn what_is_inside_of_an_absent_message_is_absent() {
    for leg in [
        "request.leg.next",
        "request.legs[0].next",
        "[request.leg.next][0]",
        "(true ? request.leg.next : request.leg)",
    ] {
        for (field, from) in [
            ("text", "text"),
            ("named", "named"),
            ("plain", "plain"),
            ("big", "plain.amount"),
            ("next", "next.next"),
        ] {
            let with = format!("{{ leg: {{ {field}: \"{leg}.{from}\" }} }}");
            assert_eq!(
                taken(&with, r#"{"leg":{},"legs":[{}]}"#).unwrap(),
                r#"{"leg":{}}"#,
                "{with}"
            );
        }
    }
    let there = taken("{ leg: { big: request.leg.plain.amount } }", r#"{"leg":{"plain":{}}}"#);
    assert_eq!(there.unwrap(), r#"{"leg":{"big":"0"}}"#);
}

#[test]
fn what_is_absent_reads_as_its_default_in_operators_and_functions() {
    for expression in [
        "request.leg.small + 1 == 1",
        "[request.leg.small] == [0]",
        "[0] == [request.leg.small]",
        "{'a': [request.leg.text]} == {'a': ['']}",
        "{'a': ['']} == {'a': [request.leg.text]}",
        "0 in [request.leg.small]",
        "request.leg.small in [0]",
        "request.leg.text in {'': 1}",
        "{request.leg.text: 1}[request.leg.text] == 1",
        "[request.leg.text, 'a'].join('-') == '-a'",
        "[request.leg.text].map(t, t + 'x') == ['x']",
        "[request.leg.small].all(n, n < 1)",
        "[request.leg.small].exists_one(n, n == 0)",
        "[request.leg.flag].filter(f, !f).size() == 1",
        "[1][request.leg.small] == 1",
        "size(request.leg.text) == 0 && request.leg.text.size() == 0",
        "request.leg.named + 'x' == 'x'",
        "request.leg.object.size() == 0 && request.leg.list.map(x, x) == []",
        "(request.leg.flag ? 1 : 2) == 2",
        "request.leg.flag || !request.leg.flag",
        "request.leg.class == 'CLASS_UNSPECIFIED'",
        "-request.leg.small == 0",
        "string(request.leg.big) == '0' && dyn(request.leg.real) == 0.0",
        "request.leg.next == request.leg.next.next",
        "!has(request.leg.text) && has(request.leg.next) == false",
        "![request.leg].exists(l, has(l.text) || has(l.next.text))",
    ] {
        let quoted = format!("{{ there: \"{expression}\" }}");
        assert_eq!(taken(&quoted, r#"{"leg":{}}"#).unwrap(), r#"{"there":true}"#, "{expression}");
    }
    let plain = taken(
        "{ plain: { amount: request.leg.big, text: \"[request.leg.text][0]\" } }",
        r#"{"leg":{}}"#,
    );
    assert_eq!(plain.unwrap(), r#"{"plain":{}}"#);
}

#[test]
fn an_entry_of_a_map_can_be_absent_and_an_item_of_a_list_is_its_default() {
    for with in [
        "{ counts: { a: request.leg.big }, texts: [request.leg.text, \"'x'\"], json: { a: request.leg.text } }",
        "{ counts: \"{'a': request.leg.big}\", texts: \"[request.leg.text, 'x']\", json: \"{'a': request.leg.text}\" }",
    ] {
        assert_eq!(
            taken(with, r#"{"leg":{}}"#).unwrap(),
            r#"{"json":{},"texts":["","x"]}"#,
            "{with}"
        );
        assert_eq!(
            taken(with, r#"{"leg":{"big":0,"text":""}}"#).unwrap(),
            r#"{"counts":{"a":"0"},"json":{"a":""},"texts":["","x"]}"#,
            "{with}"
        );
    }
}

#[test]
fn null_leaves_a_field_out_and_is_refused_inside_of_a_list_or_a_map() {
    let nothing = "{ there: \"null\", leg: { text: \"null\", named: \"null\", small: request.json.n, next: request.json.n }, \
                   legs: \"null\", counts: request.json.n, texts: \"true ? null : ['a']\" }";
    assert_eq!(taken(nothing, r#"{"json":{"n":null}}"#).unwrap(), r#"{"leg":{}}"#);
    let or_null = "{ leg: { text: \"has(request.json.x) ? request.json.x : null\" } }";
    assert_eq!(taken(or_null, r#"{"json":{}}"#).unwrap(), r#"{"leg":{}}"#);
    assert_eq!(taken(or_null, r#"{"json":{"x":""}}"#).unwrap(), r#"{"leg":{"text":""}}"#);
    for (with, what) in [
        ("{ texts: [request.json.n] }", "null inside a list"),
        ("{ texts: \"[request.json.n]\" }", "[0]: null inside a list"),
        ("{ counts: { a: request.json.n } }", "null inside a map"),
        ("{ legs: [request.json.n] }", "null inside a list"),
    ] {
        assert_eq!(taken(with, r#"{"json":{"n":null}}"#).unwrap_err().what, what, "{with}");
    }
    // The JSON value null is a value.
    let json = "{ leg: { any: \"null\", list: \"[null]\" }, json: { a: \"null\" } }";
    assert_eq!(
        taken(json, "{}").unwrap(),
        r#"{"leg":{"any":null,"list":[null]},"json":{"a":null}}"#
    );
}

#[test]
fn of_a_oneof_what_is_set_is_passed_on_and_two_are_a_fault() {
    let each = "{ leg: { rail: request.leg.rail, road: request.leg.road, sea: request.leg.sea } }";
    for leg in ["{}", r#"{"rail":""}"#, r#"{"road":"0"}"#, r#"{"sea":{}}"#] {
        let trip = format!("{{\"leg\":{leg}}}");
        assert_eq!(taken(each, &trip).unwrap(), trip);
    }
    let two = "{ leg: { rail: request.leg.rail, road: \"request.legs[0].road\" } }";
    let fault = taken(two, r#"{"leg":{"rail":"a"},"legs":[{"road":"1"}]}"#).unwrap_err();
    assert_eq!(fault.what, "`rail` and `road` are both of `way`");
    assert_eq!((fault.line, fault.expression.as_str()), (7, "request.legs[0].road"));
}

#[test]
fn an_extension_is_read_from_json_as_any_field_is() {
    let source = proto2().replace("message Plain {", "extend Plain { optional int64 points = 100; repeated Class tags = 101; }\nmessage Plain { extensions 100 to 200;");
    let descriptors = described(&source);
    let compiled = taking("request", &descriptors);
    let json = r#"{"plain": {"[trip.v1.points]": "9007199254740993", "[trip.v1.tags]": ["CLASS_FIRST", 0]}}"#;
    let read = compiled.request_from_json(json).unwrap();
    let mut text = serde_json::Deserializer::from_str(json);
    let trip = descriptors.message("trip.v1.Trip").unwrap();
    assert_eq!(read, DynamicMessage::deserialize(trip, &mut text).unwrap().encode_to_vec());
    let refused = compiled.request_from_json(&json.replace("FIRST", "THIRD")).unwrap_err();
    assert_eq!(refused.path, "plain[trip.v1.tags][0]");
}

#[test]
fn json_of_a_type_may_be_as_deep_as_a_message() {
    let typed = taking("request", &SYNTAXES[0]);
    let nested = |depth: usize| {
        format!(
            "{}{}",
            "{\"leg\":".to_owned() + &"{\"next\":".repeat(depth),
            "{}".to_owned() + &"}".repeat(depth + 1)
        )
    };
    let read = typed.request_from_json(&nested(98)).unwrap();
    let trip = SYNTAXES[0].message("trip.v1.Trip").unwrap();
    assert!(DynamicMessage::decode(trip, read).is_ok());
    let refused = typed.request_from_json(&nested(99)).unwrap_err();
    assert_eq!(refused.what, "is nested deeper than 100 levels; flatten it");
}

#[test]
fn the_response_of_a_step_that_was_skipped_is_absent() {
    let source = "saga: t\nversion: 1\ninput: trip.v1.Trip\nsteps:\n  - step: first\n    when: request.there\n    \
                  call: trip.v1.Trips/Book\n  - step: book\n    call: trip.v1.Trips/Book\n    \
                  with: { leg: { flag: first.there, plain: first.plain }, there: \"!first.there\" }\n";
    let compiled = Draft::parse("t.yaml", source).unwrap().compile(&SYNTAXES[0]).unwrap();
    let trip = SYNTAXES[0].message("trip.v1.Trip").unwrap();
    let request = |response: Option<&[u8]>| {
        let mut facts = compiled.facts(Identity::default(), &[]);
        if let Some(response) = response {
            facts = facts.with_response(StepId(0), response);
        }
        match compiled.prepare_call(StepId(1), &facts).unwrap() {
            Prepared::Request(bytes) => {
                serde_json::to_string(&DynamicMessage::decode(trip.clone(), bytes).unwrap())
                    .unwrap()
            }
            Prepared::Skip => panic!("the step is skipped"),
        }
    };
    assert_eq!(request(None), r#"{"leg":{},"there":true}"#);
    assert_eq!(request(Some(&[])), r#"{"leg":{"flag":false},"there":true}"#);
}
