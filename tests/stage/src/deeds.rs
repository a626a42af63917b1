//! Generated deeds, played against a service and a model of it.

use std::{cell::RefCell, collections::BTreeMap, fmt::Debug};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};

/// Which cases the played deeds have met, and how often.
#[derive(Debug, Default)]
pub struct Met(RefCell<BTreeMap<String, u32>>);

impl Met {
    /// A deed was answered. `deed` is an enum or a name: its first word counts.
    pub fn note(&self, deed: &impl Debug, answer: &str) {
        let deed = format!("{deed:?}");
        let kind = deed.trim_matches('"').split('(').next().unwrap_or_default();
        *self.0.borrow_mut().entry(format!("{kind} {answer}")).or_default() += 1;
    }
}

/// Plays `cases` generated lists of deeds; fails unless each of the `claimed` cases, such as `Earn OK`, was met: a run
/// that never met a case would prove nothing of it.
pub fn play<S: Strategy>(
    cases: u32,
    deeds: &S,
    claimed: &[impl AsRef<str>],
    play_one: impl AsyncFn(S::Value, &Met),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let met = Met::default();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let played = TestRunner::new(config).run(deeds, |deeds| {
        runtime.block_on(play_one(deeds, &met));
        Ok(())
    });
    played.unwrap();
    let met = met.0.into_inner();
    for case in claimed {
        assert!(met.contains_key(case.as_ref()), "no {} in {met:?}", case.as_ref());
    }
}
