//! The reading of a key from a call's metadata, with anything in them.

use std::collections::HashMap;

use clock::Timestamp;
use http::{HeaderMap, HeaderValue};
use participant::{Direction, Key, SagaMetadata};
use proptest::prelude::*;

/// What a header may hold: sound parts, parts with something wrong, and bytes.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[A-Za-z0-9._-]{1,20}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec!["forward", "undo"]).prop_map(|word| word.as_bytes().to_vec()),
        1 => "[A-Za-z0-9._-]{60,140}".prop_map(String::into_bytes),
        1 => "[ -~]{0,10}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..10),
    ]
}

fn metadata() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let sound = ("[a-c]{1,2}", "[a-c]{1,2}", prop::sample::select(vec!["forward", "undo"]));
    let sound = sound.prop_map(|(saga, step, direction)| {
        vec![
            ("saga-id", saga.into_bytes()),
            ("saga-step", step.into_bytes()),
            ("saga-direction", direction.as_bytes().to_vec()),
        ]
    });
    let names =
        prop::sample::select(vec!["saga-id", "saga-step", "saga-direction", "saga-attempt"]);
    let changed =
        (sound.clone(), names, values(), 0_usize..3).prop_map(|(mut entries, name, value, how)| {
            match how {
                0 => entries.retain(|(other, _)| *other != name),
                1 => entries.push((name, value)),
                _ => entries
                    .iter_mut()
                    .filter(|(other, _)| *other == name)
                    .for_each(|entry| entry.1 = value.clone()),
            }
            entries
        });
    prop_oneof![1 => sound, 3 => changed]
}

fn map(entries: &[(&'static str, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(*name, value);
        }
    }
    map
}

#[test]
fn no_metadata_make_a_panic_and_no_two_calls_share_a_key() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let seen = std::cell::RefCell::new((HashMap::<String, Vec<u8>>::new(), 0_usize, 0_usize));
    let outcome = runner.run(&metadata(), |entries| {
        let mut seen = seen.borrow_mut();
        let map = map(&entries);
        match SagaMetadata::of(&map).key() {
            Err(why) => {
                prop_assert!(!why.to_string().is_empty());
                seen.1 += 1;
            }
            Ok(None) => {
                prop_assert!(
                    ["saga-id", "saga-step", "saga-direction"]
                        .iter()
                        .all(|name| !map.contains_key(*name))
                );
                seen.2 += 1;
            }
            Ok(Some(key)) => {
                let parts = ["saga-id", "saga-step", "saga-direction"];
                let parts: Vec<&[u8]> =
                    parts.iter().map(|name| map.get(*name).unwrap().as_bytes()).collect();
                let parts = parts.join(&0);
                let text = key.to_string();
                prop_assert!(text.len() <= 5 + 128 + 1 + 64 + 8);
                prop_assert_eq!(key.of_call().of_call(), key.of_call());
                let first = seen.0.entry(text.clone()).or_insert_with(|| parts.clone());
                prop_assert_eq!(&*first, &parts, "two calls share the key {}", text);
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (keys, refused, none) = seen.into_inner();
    println!("{} keys, {refused} refused, {none} outside a saga", keys.len());
    assert!(keys.len() > 100 && refused > 1_000, "{} keys, {refused} refused", keys.len());
}

#[test]
fn the_age_of_a_saga_is_in_its_key() {
    proptest!(|(began in 0_u64..1 << 48, rest in any::<[u8; 10]>(), step in "[a-z]{1,9}")| {
        let key = |began: u64| {
            let saga_id = uuid::Builder::from_unix_timestamp_millis(began, &rest).into_uuid();
            Key::step(&saga_id.to_string(), &step, Direction::Forward).unwrap()
        };
        prop_assert_eq!(key(began).began(), Some(Timestamp(began)));
    });
    let told = |saga_id: &str| Key::step(saga_id, "s", Direction::Undo).unwrap().began();
    for other in ["saga-1", "0", "6f1bc1f0-3a5e-4b53-9ab3-5a7e3b8f8d10"] {
        assert_eq!(told(other), None, "{other}");
    }
    assert_eq!(
        Key::request("shop.v1.Stock/Freeze", "01900000-0000-7000-8000-000000000000").began(),
        None
    );
}
