//! The journal's records: what they decode to when their bytes are damaged, and what the engine makes of that.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use definition::{Compiled, Descriptors, Draft};
use orchestrator::{
    driver::{Unreadable, replay},
    journal::{Entry, Header, Link, record},
};
use proptest::{prelude::*, test_runner::TestRunner};
use saga::{Answer, Cause, Event, Jitter, Outcome, Reason, Record, StepId, TimeRules, Timestamp};

use stage::damage::{Change, changes, config, in_time};

pub(crate) static PLACE_ORDER: LazyLock<Compiled> = LazyLock::new(|| {
    let source = include_str!("../../../sagamesh/definitions/place-order.yaml");
    let mut descriptors = Descriptors::new();
    descriptors.add_pool(proto::descriptors().clone());
    Draft::parse("place-order.yaml", source).unwrap().compile(&descriptors).unwrap()
});

/// What a saga of `PLACE_ORDER` was started with.
pub(crate) fn header(saga_id: &str) -> Header {
    Header {
        saga_id: saga_id.to_owned(),
        definition_hash: PLACE_ORDER.hash().to_owned(),
        definition: PLACE_ORDER.name().to_owned(),
        version: PLACE_ORDER.version(),
        key: "ada/t-1".to_owned(),
        request: Bytes::from_static(b"\x0a\x03t-1\x12\x03ada"),
        trace: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        deadline: clock::Timestamp(30_000),
        created_at: clock::Timestamp(1_000),
    }
}

/// The journal of a saga that was declined at its second wave and undone.
pub(crate) fn history() -> Vec<Record> {
    let step = |name: &str| PLACE_ORDER.engine().find(name).unwrap();
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    let called = |name: &str| Event::CallIntended { step: step(name), request: bytes("a request") };
    let answered =
        |name: &str, answer| Event::CallAnswered { step: step(name), answer, jitter: Jitter(7) };
    let done = || Answer::Done { response: bytes("a response") };
    let why = || Reason::new("UNAVAILABLE", "connection refused");
    let declined = || Reason::new("INSUFFICIENT_STOCK", "there are 2 of tea, and 3 are asked for");
    let undone =
        |name: &str, answer| Event::UndoAnswered { step: step(name), answer, jitter: Jitter(9) };
    let undo = |name: &str| Event::UndoIntended { step: step(name), request: bytes("an undo") };
    let events = vec![
        Event::Started { deadline: Timestamp(30_000), rules: TimeRules::CURRENT },
        called("quote"),
        called("member"),
        answered("member", done()),
        answered("quote", Answer::Unknown(why())),
        Event::Paused { reason: "to look at it".to_owned() },
        Event::Resumed { reason: "looked".to_owned() },
        Event::Retried { reason: "now".to_owned() },
        answered("quote", done()),
        called("create_order"),
        Event::Recovered { node: "the-second".to_owned() },
        answered(
            "create_order",
            Answer::PushedBack { reason: why(), wait: Duration::from_millis(5) },
        ),
        answered("create_order", done()),
        called("freeze_stock"),
        Event::Skipped { step: step("deduct_points") },
        answered("freeze_stock", Answer::Declined(declined())),
        Event::TurnedBack { cause: Cause { step: Some(step("freeze_stock")), reason: declined() } },
        undo("create_order"),
        undone("create_order", Answer::Unknown(why())),
        undone("create_order", done()),
        Event::Finished { outcome: Outcome::Compensated, reply: Bytes::new() },
    ];
    // The records are millions of milliseconds apart, so that every wait is over.
    (0..)
        .zip(events)
        .map(|(seq, event)| Record { seq, at: Timestamp(1_000 + seq), event })
        .collect()
}

/// The story as the journal of `header` has it.
pub(crate) fn entries(header: &Header) -> Vec<Entry> {
    record::encode_all(&history(), Link::root(header)).0
}

/// Links the entries anew, as one would who damages a record on purpose.
fn relink(header: &Header, entries: &mut [Entry]) {
    let mut link = Link::root(header);
    for entry in entries {
        link = link.next(entry.seq, entry.at, &entry.record);
        entry.link = link;
    }
}

#[test]
fn the_story_is_one_that_the_engine_allows() {
    let header = header("s-1");
    let replayed = replay(&header, &PLACE_ORDER, &entries(&header), None).unwrap();
    assert_eq!(replayed.records, history());
    assert_eq!(replayed.replayer.state.status(), saga::Status::Compensated);
}

#[test]
fn no_damage_to_a_record_makes_the_decoder_or_the_engine_panic_or_take_long() {
    let seen = Mutex::new(BTreeMap::<&str, u32>::new());
    let count =
        |what| *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    let put = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..6),
        // Keys of the fields, and numbers that are as large as they get.
        4 => prop::sample::select(vec![
            vec![0x08], vec![0x10], vec![0x1a], vec![0x20], vec![0x2a], vec![0x32], vec![0x38], vec![0x40], vec![0x48],
            vec![0x08, 0x11], vec![0x08, 0x12], vec![0x08, 0x00], vec![0x10, 0xff, 0xff, 0x03], vec![0x0b], vec![0xff; 9],
            vec![0x38, 0xff, 0xff, 0xff, 0xff, 0x0f],
            vec![0x40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ]),
    ];
    let strategy = (any::<prop::sample::Index>(), changes(put));
    let header = header("s-1");
    let sound = entries(&header);
    let mut runner = TestRunner::new(config(3_000));
    let outcome = runner.run(&strategy, |(which, changes)| {
        let changes: Vec<Change<Vec<u8>>> = changes;
        let mut entries = sound.clone();
        let at = which.index(entries.len());
        let mut bytes = entries[at].record.to_vec();
        changes.iter().for_each(|change| change.to_bytes(&mut bytes));
        entries[at].record = bytes.into();
        let changed = entries[at].record != sound[at].record;
        match replay(&header, &PLACE_ORDER, &entries, None) {
            Err(Unreadable::Broken { seq }) if changed => prop_assert_eq!(seq, entries[at].seq),
            Ok(_) if !changed => {}
            other => prop_assert!(false, "changed: {}, and read as {:?}", changed, other),
        }
        relink(&header, &mut entries);
        match in_time("a journal", || replay(&header, &PLACE_ORDER, &entries, None)) {
            Ok(replayed) => {
                count("read");
                // A record that was read is written and read again as the same.
                let (again, _) = record::encode_all(&replayed.records, Link::root(&header));
                let again: Vec<Record> =
                    again.iter().map(|entry| record::decode(entry).unwrap()).collect();
                prop_assert_eq!(again, replayed.records);
            }
            Err(Unreadable::Record { .. }) => count("no record"),
            Err(Unreadable::Illegal { .. }) => count("illegal"),
            Err(other) => prop_assert!(false, "{}", other),
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("damaged records: {seen:?}");
    for what in ["read", "no record", "illegal"] {
        assert!(seen.get(what).is_some_and(|count| *count >= 5), "{what} was hardly met: {seen:?}");
    }
}

#[test]
fn a_record_of_a_step_that_the_definition_does_not_have_is_refused() {
    let header = header("s-1");
    let mut records = history();
    records[1].event = Event::CallIntended { step: StepId(u16::MAX), request: Bytes::new() };
    let (entries, _) = record::encode_all(&records, Link::root(&header));
    let refused = replay(&header, &PLACE_ORDER, &entries, None).unwrap_err();
    assert!(matches!(refused, Unreadable::Illegal { seq: 1, .. }), "{refused}");
}
