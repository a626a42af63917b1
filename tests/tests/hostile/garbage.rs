//! Bodies and metadata that no client of ours sends.

use futures::StreamExt;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind};
use proto::rules::{Bounds, Excess, dynamic_violations};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use tests::Wiring;
use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    bad_input::{CONCURRENT_CALLS, Tally, busy_mesh},
    panics,
    rpc::{self, Lines, Rpc},
    seed,
    snapshot::Snapshot,
    sound,
};

/// What a method takes at most whose rules do not say it.
const WITHOUT_RULES: usize = 1 << 20;
/// More than any method takes.
const TOO_LARGE: usize = 4 << 20;
/// The most fields and entries that a message may have, and from which size on they are counted.
const MAX_FIELDS: usize = 16_384;
const COUNTED_FROM: usize = 4096;
/// An input of a saga that is longer has too many values, or is too large.
const LARGE_INPUT: usize = 100_000;
/// Bodies of each random kind, for each RPC.
const RANDOM_BODIES: usize = 40;

/// A body, and what it is.
struct Body {
    what: String,
    bytes: Vec<u8>,
}

/// What must become of a body, by its type's descriptor and rules.
enum ExpectedResult {
    TooLarge,
    Unreadable,
    Broken(Vec<String>),
    /// It is a request like any other.
    Sound,
}

/// What the method takes at most.
fn limit(rpc: &Rpc) -> usize {
    let largest = Bounds::of(&rpc.input).largest();
    largest.map_or(WITHOUT_RULES, |largest| 2 * largest + 16 * 1024)
}

fn expected_result(rpc: &Rpc, body: &[u8]) -> ExpectedResult {
    if body.len() > limit(rpc) {
        return ExpectedResult::TooLarge;
    }
    if body.len() > COUNTED_FROM {
        match Bounds::of(&rpc.input).check(body, MAX_FIELDS) {
            Ok(()) => {}
            Err(Excess::Fields) => return ExpectedResult::TooLarge,
            Err(Excess::Entries(broken)) => return ExpectedResult::Broken(vec![broken.path]),
        }
    }
    let Ok(message) = DynamicMessage::decode(rpc.input.clone(), body) else {
        return ExpectedResult::Unreadable;
    };
    let broken = dynamic_violations(&message);
    if broken.is_empty() {
        return ExpectedResult::Sound;
    }
    let mut paths: Vec<String> = broken.into_iter().map(|violation| violation.path).collect();
    paths.sort();
    ExpectedResult::Broken(paths)
}

fn bodies(rpc: &Rpc, rng: &mut StdRng) -> Vec<Body> {
    let request = sound::message(&rpc.input).encode_to_vec();
    let mut found = Vec::new();
    let mut add = |what: String, bytes: Vec<u8>| found.push(Body { what, bytes });
    for _ in 0..seed::times(RANDOM_BODIES) {
        let mut noise = vec![0; rng.random_range(1..300)];
        rng.fill_bytes(&mut noise);
        add("noise".to_owned(), noise);
        let mut flipped = request.clone();
        if let Some(byte) = flipped.len().checked_sub(1).map(|last| rng.random_range(0..=last)) {
            flipped[byte] ^= 1 << rng.random_range(0..8);
            add(format!("byte {byte} flipped"), flipped);
        }
    }
    for length in 0..request.len().min(120) {
        add(format!("cut to {length} bytes"), request[..length].to_vec());
    }
    for (what, tail) in tails() {
        add(format!("sound, then {what}"), [request.as_slice(), &tail].concat());
        add(what.to_owned(), tail);
    }
    for field in rpc.input.fields() {
        for wire in 0..8_u8 {
            let what = format!("{} as wire type {wire}", field.name());
            let key = varint(u64::from(field.number()) << 3 | u64::from(wire));
            add(what, [key.as_slice(), &[1; 12]].concat());
        }
        if matches!(field.kind(), Kind::String) {
            let text = |bytes: &[u8]| {
                let key = varint(u64::from(field.number()) << 3 | 2);
                [key, varint(bytes.len() as u64), bytes.to_vec()].concat()
            };
            add(format!("{} is not UTF-8", field.name()), text(b"\xff\xfe\xc0"));
            add(format!("{} is huge", field.name()), text(&vec![b'x'; 1 << 20]));
        }
    }
    add("a byte more than it takes".to_owned(), vec![b'x'; limit(rpc) + 1]);
    add("more than any method takes".to_owned(), vec![b'x'; TOO_LARGE]);
    found
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// Fields that no message of ours has, and fields that nothing can have.
fn tails() -> Vec<(&'static str, Vec<u8>)> {
    let unknown = |wire: u64| varint(1000 << 3 | wire);
    vec![
        ("an unknown number", [unknown(0), varint(u64::MAX)].concat()),
        ("an unknown double", [unknown(1), vec![7; 8]].concat()),
        ("an unknown text", [unknown(2), vec![3, b'a', b'b', b'c']].concat()),
        ("an unknown group", [unknown(3), unknown(4)].concat()),
        ("an unknown float", [unknown(5), vec![7; 4]].concat()),
        ("the last field number", [varint(536_870_911 << 3), vec![1]].concat()),
        ("a field number too many", [varint(536_870_912 << 3), vec![1]].concat()),
        ("field zero", vec![0, 1]),
        ("a group that does not end", unknown(3)),
        ("a group that does not begin", unknown(4)),
        ("groups a thousand deep", [vec![0x0b; 1000], vec![0x0c; 1000]].concat()),
        ("groups a hundred thousand deep", unknown(3).repeat(100_000)),
        ("a length of everything", [unknown(2), varint(u64::MAX)].concat()),
        ("a number that does not end", vec![0xff; 64]),
        ("a key that does not end", vec![0x80; 11]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_sound_request_are_the_callers_fault_and_nothing_is_written() {
    let (mesh, lines) = busy_mesh(Wiring::default()).await;
    let before = Snapshot::of(mesh.data()).await;
    let (tally, mut rng) = (Tally::default(), seed::rng("garbage"));
    let cases: Vec<(Rpc, Vec<Body>)> = rpc::every()
        .into_iter()
        .map(|rpc| {
            let mut all = bodies(&rpc, &mut rng);
            all.retain(|body| !matches!(expected_result(&rpc, &body.bytes), ExpectedResult::Sound));
            (rpc, all)
        })
        .collect();
    futures::stream::iter(cases)
        .for_each_concurrent(CONCURRENT_CALLS, |(rpc, bodies)| {
            let (lines, tally) = (&lines, &tally);
            async move {
                for body in bodies {
                    refused(lines, &rpc, body).await;
                    tally.sent(&rpc);
                }
            }
        })
        .await;
    tally.assert_every_rpc("garbage", 50);
    before.assert_same(&Snapshot::of(mesh.data()).await);
    panics::none();
}

async fn refused(lines: &Lines, rpc: &Rpc, Body { what, bytes }: Body) {
    let told = |status: &Status| (status.code(), rpc::reason(status));
    let (fate, path) = (expected_result(rpc, &bytes), &rpc.path);
    let hex: String = bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
    let answer = lines.call(rpc, bytes, MetadataMap::new()).await;
    rpc::callers_own_fault(rpc, &what, &answer);
    let Err(status) = answer else { panic!("{path} took {what}: {hex}") };
    let (code, reason) = told(&status);
    let expected = match &fate {
        ExpectedResult::TooLarge => (Code::OutOfRange, "MESSAGE_TOO_LARGE"),
        ExpectedResult::Unreadable => (Code::InvalidArgument, "BODY_UNREADABLE"),
        ExpectedResult::Broken(_) => (Code::InvalidArgument, "INVALID_REQUEST"),
        ExpectedResult::Sound => unreachable!("left out above"),
    };
    assert_eq!((code, reason.as_str()), expected, "{path}, {what}: {hex}");
    if let ExpectedResult::Broken(paths) = fate {
        assert_eq!(rpc::violations(&status), paths, "{path}, {what}: {hex}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_that_are_sound_all_the_same_are_answered_like_any_other() {
    // The steps belong to no saga.
    let (_mesh, lines) = busy_mesh(Wiring::default().damaged()).await;
    let (tally, mut rng) = (Tally::default(), seed::rng("odd requests"));
    let cases: Vec<(Rpc, Vec<Body>)> = rpc::every()
        .into_iter()
        .map(|rpc| {
            let mut all = bodies(&rpc, &mut rng);
            all.retain(|body| matches!(expected_result(&rpc, &body.bytes), ExpectedResult::Sound));
            (rpc, all)
        })
        .collect();
    futures::stream::iter(cases)
        .for_each_concurrent(CONCURRENT_CALLS, |(rpc, bodies)| {
            let (lines, tally) = (&lines, &tally);
            async move {
                for (number, Body { what, bytes }) in bodies.into_iter().enumerate() {
                    let saga = format!("odd-{}-{number}", rpc.name);
                    let step = rpc::step(&saga, "any", "forward");
                    let answer = lines.call(&rpc, bytes, step).await;
                    rpc::callers_own_fault(&rpc, &what, &answer);
                    tally.sent(&rpc);
                }
            }
        })
        .await;
    tally.assert_every_rpc("odd requests", 5);
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_make_no_sense_are_the_callers_fault_and_nothing_is_written() {
    let (mesh, lines) = busy_mesh(Wiring::default()).await;
    let before = Snapshot::of(mesh.data()).await;
    let (tally, mut rng) = (Tally::default(), seed::rng("metadata"));
    let rpcs: Vec<(Rpc, u64)> = rpc::every().into_iter().map(|rpc| (rpc, rng.next_u64())).collect();
    futures::stream::iter(rpcs)
        .for_each_concurrent(CONCURRENT_CALLS, |(rpc, seed)| {
            let (lines, tally) = (&lines, &tally);
            async move {
                let mut rng = StdRng::seed_from_u64(seed);
                for metadata in odd_metadata(&mut rng) {
                    let what = format!("{metadata:?}");
                    let body = match writes_without_a_step(&rpc) {
                        true => Vec::new(),
                        false => sound::message(&rpc.input).encode_to_vec(),
                    };
                    let answer = lines.call(&rpc, body, metadata).await;
                    rpc::callers_own_fault(&rpc, &what, &answer);
                    tally.sent(&rpc);
                }
            }
        })
        .await;
    tally.assert_every_rpc("metadata", 30);
    before.assert_same(&Snapshot::of(mesh.data()).await);
    panics::none();
}

/// Whether a sound request to the method takes effect whatever its metadata are.
fn writes_without_a_step(rpc: &Rpc) -> bool {
    rpc.service == "sagamesh.checkout.v1.CheckoutService"
        || rpc.input.get_field_by_name("request_id").is_some()
}

/// Metadata in which something is always wrong with what makes a step's key.
fn odd_metadata(rng: &mut StdRng) -> Vec<MetadataMap> {
    let names = ["saga-id", "saga-step", "saga-direction"];
    let long = "x".repeat(2000);
    let odd = ["", " ", "a b", "a/b", &long, "undo undo", "%00", "\u{7f}ä", "FORWARD", "back"];
    let mut found = Vec::new();
    for name in names {
        let mut missing = rpc::step("hostile", "any", "forward");
        missing.remove(name);
        found.push(missing);
        let mut twice = rpc::step("hostile", "any", "forward");
        twice.append(name, MetadataValue::from_static("forward"));
        found.push(twice);
        for text in odd {
            let Ok(value) = MetadataValue::try_from(text.as_bytes()) else { continue };
            // Any word can be part of a key, but these are no direction.
            if matches!(text, "FORWARD" | "back") && name != "saga-direction" {
                continue;
            }
            let mut wrong = rpc::step("hostile", "any", "forward");
            wrong.insert(name, value);
            found.push(wrong);
        }
    }
    for metadata in &mut found {
        for (name, values) in [
            (
                "traceparent",
                ["00-0-0-0", "", "zz", "00-00000000000000000000000000000000-0000000000000000-01"],
            ),
            ("tracestate", ["=", ",,,", "a=b", ""]),
            ("x-response-mode", ["", "ENVELOPE", "envelope,envelope", "?"]),
        ] {
            let value = values[rng.random_range(0..values.len())];
            metadata.insert(name, MetadataValue::from_static(value));
        }
    }
    for timeout in
        ["", "S", "5", "-1S", "999999999S", "1.5S", "1s", "0x1S", "99999999999999999999H"]
    {
        let mut late = rpc::step("hostile", "any", "sideways");
        late.insert("grpc-timeout", MetadataValue::from_static(timeout));
        found.push(late);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_of_a_saga_that_are_no_request_start_nothing() {
    let (mesh, lines) = busy_mesh(Wiring::default()).await;
    let before = Snapshot::of(mesh.data()).await;
    let rpc = rpc::every().into_iter().find(|rpc| rpc.name == "StartSaga").unwrap();
    let mut rng = seed::rng("inputs of a saga");
    let sound =
        r#"{"submit_token": "t", "user_id": "ada", "lines": [{"sku": "tea", "quantity": 1}]}"#;
    let mut inputs = vec![
        "[".repeat(200_000),
        r#"{"lines":"#.repeat(50_000),
        format!(r#"{{"user_id": "{}"}}"#, "x".repeat(3 << 20)),
        r#"{"user_id": "\ud800"}"#.to_owned(),
        r#"{"points": 1e400}"#.to_owned(),
        r#"{"points": 9223372036854775808}"#.to_owned(),
        r#"{"points": "1.5"}"#.to_owned(),
        r#"{"lines": {"sku": "tea"}}"#.to_owned(),
        r#"{"user_id": "a", "userId": "b"}"#.to_owned(),
        format!("{sound}{sound}"),
    ];
    // The text is no JSON, wherever it is cut.
    inputs.extend((1..sound.len()).map(|length| sound[..length].to_owned()));
    for _ in 0..seed::times(100) {
        let mut broken = sound.as_bytes().to_vec();
        let at = rng.random_range(0..broken.len());
        broken[at] = b"{}[]\",:\\ x0-"[rng.random_range(0..12)];
        inputs.push(String::from_utf8(broken).unwrap());
    }
    let mut refused = 0;
    for input in inputs {
        // Damage that leaves a valid request is skipped: it would start a saga.
        if is_sound(&input) {
            continue;
        }
        let request = proto::saga::v1::StartSagaRequest {
            definition: "place-order".to_owned(),
            version: 0,
            key: String::new(),
            input_json: input.clone(),
        };
        let answer = lines.call(&rpc, request.encode_to_vec(), MetadataMap::new()).await;
        let what: String = input.chars().take(100).collect();
        rpc::callers_own_fault(&rpc, &what, &answer);
        let status = answer.expect_err(&what);
        let expected =
            if input.len() > LARGE_INPUT { Code::OutOfRange } else { Code::InvalidArgument };
        assert_eq!(status.code(), expected, "{what}: {status:?}");
        refused += 1;
    }
    println!("inputs of a saga: {refused} refused");
    assert!(refused > 150, "only {refused} inputs were refused");
    before.assert_same(&Snapshot::of(mesh.data()).await);
    panics::none();
}

fn is_sound(input: &str) -> bool {
    let descriptor =
        proto::descriptors().get_message_by_name("sagamesh.checkout.v1.PlaceOrderRequest").unwrap();
    let mut json = serde_json::Deserializer::from_str(input);
    let Ok(message) = DynamicMessage::deserialize(descriptor, &mut json) else { return false };
    json.end().is_ok() && dynamic_violations(&message).is_empty()
}
