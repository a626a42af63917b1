//! The two readings of the validation rules agree, and bad requests are told all that is wrong at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage};
use proto::{
    checkout::v1::{Line, PlaceOrderRequest},
    descriptors,
    facade::v1::Money,
    payment::v1::TopUpRequest,
    rules::{Bounds, Checked, Excess, Violation, dynamic_violations, violations},
};

fn both<M: Message + Checked>(name: &str, message: &M) -> Vec<Violation> {
    let descriptor = descriptors().get_message_by_name(name).unwrap();
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap();
    assert_eq!(dynamic.descriptor().full_name(), name);
    let typed = violations(message);
    assert_eq!(typed, dynamic_violations(&dynamic), "the typed and the dynamic reading differ");
    typed
}

fn paths(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|violation| violation.path.as_str()).collect()
}

#[test]
fn every_broken_rule_is_named_by_its_proto_path() {
    let line = |sku: &str, quantity| Line { sku: sku.to_owned(), quantity };
    let request = PlaceOrderRequest {
        submit_token: String::new(),
        user_id: "a b".to_owned(),
        lines: vec![line("tea", 1), line("tea", 0), line("", 1_000_001)],
        points: -1,
    };
    let found = both("sagamesh.checkout.v1.PlaceOrderRequest", &request);
    assert_eq!(
        paths(&found),
        [
            "lines",
            "lines[1].quantity",
            "lines[2].quantity",
            "lines[2].sku",
            "points",
            "submit_token",
            "user_id"
        ]
    );
}

#[test]
fn a_missing_message_and_an_amount_of_nothing_are_refused() {
    let top_up =
        |amount| TopUpRequest { request_id: "r".to_owned(), user_id: "u".to_owned(), amount };
    let name = "sagamesh.payment.v1.TopUpRequest";
    assert_eq!(paths(&both(name, &top_up(None))), ["amount"]);
    let money =
        |currency: &str, minor_units| Some(Money { currency: currency.to_owned(), minor_units });
    assert_eq!(paths(&both(name, &top_up(money("EUR", 0)))), ["amount.minor_units"]);
    assert_eq!(
        paths(&both(name, &top_up(money("euro", -5)))),
        ["amount.currency", "amount.minor_units", "amount.minor_units"],
    );
    assert!(both(name, &top_up(money("EUR", 5))).is_empty());
}

#[test]
fn a_violation_never_repeats_what_was_sent() {
    let secret = "hunter2 hunter2";
    let request = PlaceOrderRequest {
        submit_token: secret.repeat(9),
        user_id: secret.to_owned(),
        lines: vec![
            Line { sku: secret.to_owned(), quantity: 1 },
            Line { sku: secret.to_owned(), quantity: 1 },
        ],
        points: 0,
    };
    let found = both("sagamesh.checkout.v1.PlaceOrderRequest", &request);
    assert!(found.len() >= 4);
    assert!(found.iter().all(|violation| !violation.message.contains("hunter2")), "{found:?}");
}

proptest! {
    #[test]
    fn the_typed_and_the_dynamic_reading_agree(
        submit_token in ".{0,70}",
        user_id in "[a-z ._-]{0,70}",
        skus in proptest::collection::vec("[a-c ]{0,2}", 0..110),
        quantity in -2_i64..1_000_002,
        points in -1_i64..3,
    ) {
        let lines = skus.into_iter().map(|sku| Line { sku, quantity }).collect();
        let request = PlaceOrderRequest { submit_token, user_id, lines, points };
        both("sagamesh.checkout.v1.PlaceOrderRequest", &request);
    }
}

fn bounds(name: &str) -> Bounds {
    Bounds::of(&descriptors().get_message_by_name(name).unwrap())
}

fn order(lines: usize) -> PlaceOrderRequest {
    PlaceOrderRequest {
        submit_token: "t".repeat(64),
        user_id: "u".repeat(64),
        lines: vec![Line { sku: "s".repeat(64), quantity: 1_000_000 }; lines],
        points: i64::MAX,
    }
}

#[test]
fn the_largest_message_that_keeps_its_rules_is_within_its_bounds_and_not_much_smaller() {
    let largest = bounds("sagamesh.checkout.v1.PlaceOrderRequest").largest().unwrap();
    let order = order(100).encoded_len();
    assert!((order..2 * order).contains(&largest), "{largest} for {order}");
}

#[test]
fn a_field_without_a_limit_leaves_its_message_without_one() {
    assert_eq!(bounds("sagamesh.saga.v1.StartSagaRequest").largest(), None);
    assert!(bounds("sagamesh.saga.v1.CancelSagaRequest").largest().is_some());
}

#[test]
fn every_method_but_those_known_here_has_a_size_by_its_rules() {
    let methods =
        descriptors().services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let unlimited = methods.filter(|method| {
        method.full_name().starts_with("sagamesh.")
            && Bounds::of(&method.input()).largest().is_none()
    });
    let names: Vec<_> = unlimited.map(|method| method.full_name().to_owned()).collect();
    let known = ["StartSaga", "RegisterDefinition", "CheckDefinition"];
    assert_eq!(names, known.map(|method| format!("sagamesh.saga.v1.SagaService.{method}")));
}

#[test]
fn entries_beyond_a_rule_are_counted_in_the_bytes_and_told_in_the_rules_words() {
    let bounds = bounds("sagamesh.checkout.v1.PlaceOrderRequest");
    assert_eq!(bounds.check(&order(100).encode_to_vec(), 1_000), Ok(()));
    let request = order(101);
    let Err(Excess::Entries(counted)) = bounds.check(&request.encode_to_vec(), 1_000) else {
        panic!("101 lines pass")
    };
    assert!(violations(&request).contains(&counted), "{counted:?}");
}

#[test]
fn packed_entries_are_counted_one_by_one() {
    use proto::saga::v1::ListSagasRequest;

    let list = |states| ListSagasRequest { states: vec![1; states], ..ListSagasRequest::default() };
    let bounds = bounds("sagamesh.saga.v1.ListSagasRequest");
    assert_eq!(bounds.check(&list(16).encode_to_vec(), 100), Ok(()));
    let Err(Excess::Entries(counted)) = bounds.check(&list(17).encode_to_vec(), 100) else {
        panic!("17 states pass")
    };
    assert!(violations(&list(17)).contains(&counted), "{counted:?}");
}

#[test]
fn all_fields_together_are_counted_whatever_they_are() {
    let bounds = bounds("sagamesh.checkout.v1.PlaceOrderRequest");
    // Three fields, and a line with two more.
    let bytes = order(1).encode_to_vec();
    assert_eq!(bounds.check(&bytes, 6), Ok(()));
    assert_eq!(bounds.check(&bytes, 5), Err(Excess::Fields));
    // Unknown ones, also in a group.
    let unknown = b"\x48\x01\x4b\x1a\x00\x4c".repeat(3);
    assert_eq!(bounds.check(&unknown, 12), Ok(()));
    assert_eq!(bounds.check(&unknown, 11), Err(Excess::Fields));
}

#[test]
fn a_large_message_counts_in_the_one_inside_it() {
    let pool = nested();
    let bounds = Bounds::of(&pool.get_message_by_name("test.Outer").unwrap());
    assert_eq!(bounds.largest(), None, "it may hold itself");
    // outer { inner { numbers: [1, 2, 3] } }, where two may be.
    let bytes = b"\x0a\x05\x0a\x03\x01\x02\x03";
    let Err(Excess::Entries(counted)) = bounds.check(bytes, 100) else { panic!("3 pass") };
    let told = (counted.path.as_str(), counted.message.as_str());
    assert_eq!(told, ("inners[0].numbers", "must have 0 to 2 entries"));
    // Inside itself, deeper than anybody decodes.
    let mut deep = Vec::new();
    for _ in 0..1_000 {
        let mut outer = vec![0x12];
        prost::encoding::encode_varint(deep.len() as u64, &mut outer);
        outer.append(&mut deep);
        deep = outer;
    }
    assert_eq!(bounds.check(&deep, 10_000), Ok(()), "who decodes it says what is wrong");
}

fn nested() -> prost_reflect::DescriptorPool {
    const NESTED: &str = r#"
        syntax = "proto3";
        package test;
        import "sagamesh/facade/v1/facade.proto";
        message Outer {
            repeated Inner inners = 1 [(sagamesh.facade.v1.rules) = {max_items: 3}];
            Outer outer = 2;
        }
        message Inner { repeated int64 numbers = 1 [(sagamesh.facade.v1.rules) = {max_items: 2}]; }
    "#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nested.proto"), NESTED).unwrap();
    let ours = concat!(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([folder.path(), std::path::Path::new(ours)]).unwrap();
    compiler.include_imports(true).open_file("nested.proto").unwrap();
    prost_reflect::DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}
