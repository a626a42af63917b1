use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use serde_json::json;

use super::{Writer, redacted};

const CARD: &str = r#"
    syntax = "proto3";
    import "google/protobuf/any.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    enum Kind { KIND_UNSPECIFIED = 0; KIND_DEBIT = 1; }
    message Card {
      string holder = 1;
      string number = 2 [debug_redact = true];
      map<string, string> codes = 3 [debug_redact = true];
    }
    message Purchase {
      Card card = 1;
      repeated Card more = 2;
      map<string, Card> by_name = 3;
      google.protobuf.Any any = 4;
      Kind kind = 5;
      repeated Kind kinds = 6;
      int64 amount = 7;
      uint64 most = 8;
      double rate = 9;
      float single = 10;
      bytes raw = 11;
      google.protobuf.Timestamp at = 12;
      google.protobuf.Struct extra = 13;
      google.protobuf.Int64Value counted = 14;
      optional bool sure = 15;
      repeated string notes = 16;
      Purchase within = 17;
      int32 small = 18;
    }
"#;

fn pool() -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("card.proto"), CARD).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.include_imports(true).open_file("card.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn purchase(json: &serde_json::Value) -> DynamicMessage {
    let kind = pool().get_message_by_name("Purchase").unwrap();
    DynamicMessage::deserialize(kind, json).unwrap()
}

fn written(message: &DynamicMessage, room: usize) -> (serde_json::Value, bool) {
    let mut writer = Writer::new(room);
    writer.message(message);
    let is_cut = writer.is_cut();
    let text = writer.into_text();
    let read = serde_json::from_str(&text);
    (read.unwrap_or_else(|error| panic!("{error}: {text}")), is_cut)
}

#[test]
fn fields_marked_debug_redact_never_reach_the_log() {
    let card = json!({"holder": "Ada", "number": "4000123412341234"});
    let any = json!({"@type": "type.googleapis.com/Card", "number": "4000"});
    let message = purchase(&json!({"card": card, "more": [card, card], "any": any}));
    let text = redacted(message).to_string();
    assert_eq!(text.matches("Ada").count(), 3, "{text}");
    assert!(!text.contains("4000"), "{text}");
}

#[test]
fn fields_marked_debug_redact_are_hidden_in_json_however_deep() {
    let card = json!({"holder": "Ada", "number": "4000", "codes": {"cvc": "4000"}});
    let mut any = card.clone();
    any["@type"] = json!("type.googleapis.com/Card");
    let given =
        json!({"card": card, "more": [card], "by_name": {"a": card}, "within": {"any": any}});
    let (shown, is_cut) = written(&purchase(&given), 10_000);
    let hidden = json!({"holder": "Ada", "number": "[redacted]", "codes": "[redacted]"});
    let mut hidden_any = hidden.clone();
    hidden_any["@type"] = json!("type.googleapis.com/Card");
    let expected = json!({"card": hidden, "more": [hidden], "by_name": {"a": hidden}, "within": {"any": hidden_any}});
    assert_eq!((shown, is_cut), (expected, false));
}

#[test]
fn an_any_of_a_type_that_nobody_knows_says_so() {
    let mut message = purchase(&json!({"any": {"@type": "x/Card", "holder": "Ada"}}));
    let any = message.get_field_by_name_mut("any").unwrap().as_message_mut().unwrap();
    any.set_field_by_name("type_url", Value::String("x/Other".to_owned()));
    let (shown, _) = written(&message, 1_000);
    let what = "5 bytes that are too many, or of no known type";
    assert_eq!(shown, json!({"any": {"@type": "x/Other", "[not shown]": what}}));
}

#[test]
fn json_is_what_proto3_has_and_every_number_is_exact() {
    let given = json!({
        "kind": "KIND_DEBIT", "kinds": ["KIND_DEBIT", 7], "amount": "9007199254740993",
        "most": "18446744073709551615", "rate": "NaN", "single": 0.1, "raw": "AAEC",
        "at": "2026-01-31T12:00:00.500Z", "counted": "-9007199254740993", "sure": false, "small": 5,
        "extra": {"n": 2, "list": [1.5, null, true, "x"], "inner": {"e": {}}},
    });
    assert_eq!(written(&purchase(&given), 10_000), (given.clone(), false));
    let mut writer = Writer::new(100);
    writer.list([1_i128 << 53, (1 << 53) + 1, -1].into_iter(), Writer::integer);
    assert_eq!(writer.into_text(), r#"[9007199254740992,"9007199254740993",-1]"#);
    let mut writer = Writer::new(100);
    writer.list([5.0, -0.0, 0.1, 1e300].into_iter(), Writer::double);
    assert_eq!(writer.into_text(), "[5,-0.0,0.1,1e+300]");
}

#[test]
fn numbers_of_json_that_are_kept_as_they_are_written_are_written_so() {
    let source = r#"
        syntax = "proto3";
        package sagamesh.json.v1;
        message Object { map<string, Value> fields = 1; }
        message Value { oneof kind { Object struct_value = 5; string number_text = 7; } }
    "#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("json.proto"), source).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("json.proto").unwrap();
    let kind = compiler.descriptor_pool().get_message_by_name("sagamesh.json.v1.Object").unwrap();
    let entry = |text: &str| json!({"struct_value": {"fields": {"n": {"number_text": text}}}});
    let given = json!({"fields": {"a": entry("9007199254740993.10"), "b": entry("1e999"), "c": entry("x")}});
    let mut writer = Writer::new(1_000);
    writer.message(&DynamicMessage::deserialize(kind, given).unwrap());
    let expected = r#"{"a":{"n":9007199254740993.10},"b":{"n":1e999},"c":{"n":"x"}}"#;
    assert_eq!(writer.into_text(), expected);
}

#[test]
fn what_finds_no_room_is_marked_and_the_rest_is_json_still() {
    let notes: Vec<String> = (0..100).map(|nth| format!("note\n\u{1}\"{nth}é")).collect();
    let given = json!({"notes": notes, "card": {"holder": "A".repeat(500)}, "raw": "AAEC",
        "extra": {"a": "x".repeat(300), "b": [1, 2, 3]}, "within": {"within": {"amount": "5"}}});
    let message = purchase(&given);
    let (whole, is_cut) = written(&message, 100_000);
    assert_eq!((&whole, is_cut), (&given, false));
    for room in (0..3_000).step_by(7) {
        let (shown, is_cut) = written(&message, room);
        assert_eq!(is_cut, shown != given, "{room}: {shown}");
        let size = shown.to_string();
        assert!(size.len() <= room + 200, "{room}: {size}");
        assert!(!is_cut || size.contains("[cut: ") || size.contains("cut: "), "{size}");
    }
}

#[test]
fn messages_in_messages_are_shown_to_a_depth_that_the_stack_has_room_for() {
    let kind = pool().get_message_by_name("Purchase").unwrap();
    let mut message = DynamicMessage::new(kind.clone());
    for _ in 0..500 {
        let mut outer = DynamicMessage::new(kind.clone());
        outer.set_field_by_name("within", Value::Message(message));
        message = outer;
    }
    let (shown, is_cut) = written(&message, 1 << 20);
    assert!(is_cut && shown.to_string().contains("nested too deep"));
}

#[test]
fn fields_that_the_descriptors_do_not_know_are_counted() {
    let kind = pool().get_message_by_name("Purchase").unwrap();
    let message = DynamicMessage::decode(kind, [0x38, 5, 0x9a, 0x06, 1, 0xab].as_slice()).unwrap();
    let (shown, is_cut) = written(&message, 1_000);
    let what = "1 fields that the descriptors do not know";
    assert_eq!((shown, is_cut), (json!({"amount": "5", "[not shown]": what}), false));
}
