//! Requests that break the rules of their fields, made of the descriptors: every rule of every RPC, alone and together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use futures::StreamExt;
use prost::Message;
use rand::{Rng, rngs::StdRng, seq::SliceRandom};
use tests::{Mesh, Wiring, shop::order};
use tonic::{Code, metadata::MetadataMap};

use crate::{
    breaks::{self, Break},
    panics,
    rpc::{self, Lines, Rpc},
    rule, seed,
    snapshot::Snapshot,
    sound,
};

/// RPCs called at once.
pub(crate) const CONCURRENT_CALLS: usize = 8;
/// Requests of an RPC that break several rules at once.
const COMBINED_VIOLATIONS: usize = 20;
/// From this size on the entries of a message are counted in its bytes.
const COUNTED_FROM_BYTES: usize = 4_096;

/// What was sent, so that a test can tell what it has not covered.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Sent>);

#[derive(Default)]
struct Sent {
    by_rpc: BTreeMap<String, usize>,
    rules: BTreeSet<String>,
}

impl Tally {
    pub(crate) fn sent(&self, rpc: &Rpc) {
        *self.lock().by_rpc.entry(rpc.path.clone()).or_default() += 1;
    }

    fn broke(&self, rule: &str) {
        self.lock().rules.insert(rule.to_owned());
    }

    /// Prints how many requests each RPC got, and fails where one got fewer than `least`.
    pub(crate) fn assert_every_rpc(&self, test: &str, least: usize) {
        let sent = self.lock();
        println!("{test}: {} requests", sent.by_rpc.values().sum::<usize>());
        for rpc in rpc::every() {
            let count = sent.by_rpc.get(&rpc.path).copied().unwrap_or_default();
            println!("  {count:5} {}", rpc.path);
            assert!(count >= least, "{} got {count} requests only", rpc.path);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mesh with something in every table, at rest.
pub(crate) async fn busy_mesh(wiring: Wiring) -> (Mesh, Lines) {
    panics::watch();
    let mesh = wiring.start().await;
    mesh.open_shop().await;
    let mut request = order("first", "ada", "tea", 1);
    request.points = 10;
    mesh.place_successfully(request).await;
    let lines = Lines::to(&mesh);
    (mesh, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_of_every_request_is_told_by_its_path_and_nothing_is_written() {
    let (mesh, lines) = busy_mesh(Wiring::default()).await;
    let before = Snapshot::of(mesh.data()).await;
    let (tally, mut rng) = (Tally::default(), seed::rng("bad input"));
    let cases: Vec<(Rpc, Vec<Vec<Break>>)> = rpc::every()
        .into_iter()
        .map(|rpc| {
            let alone = breaks::every(&rpc.input);
            let together = (0..seed::times(COMBINED_VIOLATIONS)).map(|_| several(&alone, &mut rng));
            let together: Vec<_> = together.filter(|some| some.len() > 1).collect();
            let cases = alone.iter().map(|one| vec![one.clone()]).chain(together).collect();
            (rpc, cases)
        })
        .collect();
    futures::stream::iter(cases)
        .for_each_concurrent(CONCURRENT_CALLS, |(rpc, cases)| {
            let (lines, tally) = (&lines, &tally);
            async move {
                for (number, broken) in cases.iter().enumerate() {
                    refused(lines, &rpc, broken, number).await;
                    tally.sent(&rpc);
                    broken.iter().for_each(|one| tally.broke(&one.rule));
                }
            }
        })
        .await;
    let mut rules = BTreeSet::new();
    rpc::every().iter().for_each(|rpc| rule::reachable(&rpc.input, &mut rules));
    let broken = tally.lock().rules.clone();
    println!("bad input: {} rules broken", broken.len());
    assert_eq!(broken, rules, "a rule was never broken");
    tally.assert_every_rpc("bad input", 1);
    before.assert_same(&Snapshot::of(mesh.data()).await);
    panics::none();
}

/// A handful of breaks of different fields.
fn several(alone: &[Break], rng: &mut StdRng) -> Vec<Break> {
    let most = rng.random_range(2..=8);
    let mut order: Vec<&Break> = alone.iter().collect();
    order.shuffle(rng);
    let mut chosen: Vec<Break> = Vec::new();
    for one in order {
        if chosen.len() < most && chosen.iter().all(|other| one.goes_with(other)) {
            chosen.push(one.clone());
        }
    }
    chosen
}

/// Sends a sound request with these rules broken, and expects every one of them told, and nothing else.
async fn refused(lines: &Lines, rpc: &Rpc, broken: &[Break], number: usize) {
    let mut request = sound::message(&rpc.input);
    broken.iter().for_each(|one| one.apply(&mut request));
    let mut told: Vec<String> = broken.iter().flat_map(|one| one.told.clone()).collect();
    told.sort();
    let what: Vec<&str> = broken.iter().map(|one| one.rule.as_str()).collect();
    // Whether the call is a saga's step makes no difference: the rules come first.
    let metadata = match number % 2 {
        0 => MetadataMap::new(),
        _ => rpc::step("hostile", "any", "forward"),
    };
    let body = request.encode_to_vec();
    let status = lines.call(rpc, body.clone(), metadata.clone()).await.expect_err(&rpc.path);
    assert_eq!(status.code(), Code::InvalidArgument, "{}, {what:?}: {status:?}", rpc.path);
    assert_eq!(rpc::reason(&status), "INVALID_REQUEST", "{}, {what:?}", rpc.path);
    // The entries of a large message are counted before it is decoded, and the first field that has too many ends it.
    let crowded = || broken.iter().filter(|one| one.rule.ends_with(" max_items"));
    let first = crowded().find(|one| one.told == rpc::violations(&status));
    if let Some(first) = first.filter(|_| body.len() > COUNTED_FROM_BYTES) {
        told.clone_from(&first.told);
    }
    assert_eq!(rpc::violations(&status), told, "{}, {what:?}", rpc.path);
    if number.is_multiple_of(7) {
        let mut envelope = metadata;
        envelope.insert("x-response-mode", "envelope".parse().unwrap());
        let answer = lines.call(rpc, body, envelope).await.unwrap();
        let result = rpc::result(rpc, answer);
        assert_eq!((result.success, result.code.as_str()), (false, "INVALID_REQUEST"));
        for path in &told {
            assert!(result.message.contains(path.as_str()), "{}: {}", rpc.path, result.message);
        }
    }
}
