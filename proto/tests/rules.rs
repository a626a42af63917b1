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
    rules::{Checked, Violation, dynamic_violations, violations},
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
