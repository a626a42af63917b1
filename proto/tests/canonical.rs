//! Equal messages have equal bytes, whatever maps they hold and however deep.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use proto::canonical;

const BASKET: &str = r#"
    syntax = "proto3";
    message Basket {
        string id = 1;
        map<string, int32> items = 2;
        map<sint32, Basket> parts = 3;
        repeated Basket more = 4;
        repeated sint32 numbers = 6;
        map<bool, bytes> flags = 7;
        optional string note = 8;
        oneof way { Basket inner = 9; string text = 10; }
    }
"#;

fn basket() -> MessageDescriptor {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("basket.proto"), BASKET).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("basket.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    pool.get_message_by_name("Basket").unwrap()
}

fn from_json(kind: &MessageDescriptor, json: &str) -> DynamicMessage {
    let mut json = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(kind.clone(), &mut json).unwrap()
}

/// Twenty members named in turn, each `value`.
fn object(value: &str) -> String {
    let members: Vec<String> = (0..20).map(|n| format!("\"k{n}\": {value}")).collect();
    format!("{{{}}}", members.join(", "))
}

#[test]
fn equal_messages_have_equal_bytes_where_a_plain_encoder_gives_others() {
    let kind = basket();
    let inner = format!(r#"{{"items": {}}}"#, object("7"));
    let json = format!(
        r#"{{"items": {}, "parts": {{"1": {inner}}}, "more": [{inner}], "inner": {inner}}}"#,
        object("1")
    );
    let messages: Vec<DynamicMessage> = (0..50).map(|_| from_json(&kind, &json)).collect();
    let plain: HashSet<Vec<u8>> = messages.iter().map(Message::encode_to_vec).collect();
    assert!(plain.len() > 1, "the maps were never in another order");
    let canonical: HashSet<Vec<u8>> = messages.into_iter().map(canonical::encode).collect();
    assert_eq!(canonical.len(), 1);
}

#[test]
fn entries_are_in_the_order_of_their_keys() {
    let kind = basket();
    let json = r#"{"parts": {"10": {}, "-3": {}, "2": {}}, "flags": {"true": "", "false": ""}}"#;
    let bytes = canonical::encode(from_json(&kind, json));
    // Field 3: entries with the zigzag keys 5, 4 and 20, each with an empty basket; field 7: false, then true.
    let expected =
        b"\x1a\x04\x08\x05\x12\0\x1a\x04\x08\x04\x12\0\x1a\x04\x08\x14\x12\0\x3a\0\x3a\x02\x08\x01";
    assert_eq!(bytes, expected);
}

#[test]
fn a_json_object_has_the_bytes_of_a_struct_with_sorted_members() {
    let kind = DescriptorPool::global().get_message_by_name("google.protobuf.Struct").unwrap();
    let deep = format!(r#"{{"a": [{}, {{"b": {}}}], "c": null}}"#, object("true"), object("[1]"));
    let message = from_json(&kind, &deep);
    let sorted = prost_types::Struct::decode(message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(canonical::encode(message), sorted.encode_to_vec());
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    // Field 99, a varint; and one entry of `items`.
    let sent = b"\x12\x05\x0a\x01a\x10\x01\x98\x06\x2a";
    let message = DynamicMessage::decode(basket(), sent.as_slice()).unwrap();
    assert_eq!(canonical::encode(message), sent);
}

#[derive(Clone, Debug, serde::Serialize)]
struct Basket {
    id: String,
    items: BTreeMap<String, i32>,
    parts: BTreeMap<i32, Basket>,
    more: Vec<Basket>,
    numbers: Vec<i32>,
    note: Option<String>,
    inner: Option<Box<Basket>>,
}

fn baskets() -> impl Strategy<Value = Basket> {
    let items = prop::collection::btree_map("[a-c]{0,2}", -2..3, 0..4);
    let leaf = ("[a-b]?", items, prop::collection::vec(-2..3, 0..3), prop::option::of("[x]?"));
    let leaf = leaf.prop_map(|(id, items, numbers, note)| Basket {
        id,
        items,
        numbers,
        note,
        parts: BTreeMap::new(),
        more: Vec::new(),
        inner: None,
    });
    leaf.prop_recursive(3, 12, 3, |inside| {
        let parts = prop::collection::btree_map(-2..3, inside.clone(), 0..3);
        let more = prop::collection::vec(inside.clone(), 0..3);
        (inside.clone(), parts, more, prop::option::of(inside)).prop_map(
            |(basket, parts, more, inner)| Basket {
                parts,
                more,
                inner: inner.map(Box::new),
                ..basket
            },
        )
    })
}

#[test]
fn what_is_encoded_is_decoded_again() {
    let kind = basket();
    proptest!(|(basket in baskets())| {
        let json = serde_json::to_string(&basket).unwrap();
        let message = from_json(&kind, &json);
        let plain = message.encode_to_vec();
        let bytes = canonical::encode(message);
        prop_assert_eq!(bytes.len(), plain.len());
        let decoded = |bytes: &[u8]| DynamicMessage::decode(kind.clone(), bytes).unwrap();
        // Not `assert_eq`: the `Debug` of a message that holds itself in a map has no end.
        prop_assert!(decoded(&bytes) == decoded(&plain), "{}", json);
    });
}

#[test]
fn what_a_message_has_beyond_its_fields_is_forgotten_at_any_depth() {
    let kind = basket();
    let unknown = [0x9a, 0x06, 3, 1, 2, 3];
    let sound =
        from_json(&kind, r#"{"id": "a", "parts": {"1": {"id": "b"}}, "more": [{"id": "c"}]}"#);
    let mut bytes = sound.encode_to_vec();
    bytes.extend(unknown);
    // `more`, with one unknown field in it, and a part of the same kind.
    bytes.extend([0x22, 6]);
    bytes.extend(unknown);
    bytes.extend([0x1a, 10, 0x08, 4, 0x12, 6]);
    bytes.extend(unknown);
    let message = DynamicMessage::decode(kind.clone(), bytes.as_slice()).unwrap();
    let known = canonical::encode(canonical::known(message));
    assert!(!known.windows(3).any(|part| part == [1, 2, 3]), "{known:?}");
    let known = DynamicMessage::decode(kind, known.as_slice()).unwrap();
    assert_eq!(known.get_field_by_name("more").unwrap().as_list().unwrap().len(), 2);
    assert_eq!(known.get_field_by_name("parts").unwrap().as_map().unwrap().len(), 2);
}
