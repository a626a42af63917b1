//! Generated operations, played against a service and a model of it.

use std::{cell::RefCell, collections::BTreeMap, fmt::Debug};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};

/// Which cases the played operations have covered, and how often.
#[derive(Debug, Default)]
pub struct Coverage(RefCell<BTreeMap<String, u32>>);

impl Coverage {
    /// A deed was answered. `operation` is an enum or a name: its first word counts.
    pub fn note(&self, operation: &impl Debug, answer: &str) {
        let operation = format!("{operation:?}");
        let kind = operation.trim_matches('"').split('(').next().unwrap_or_default();
        *self.0.borrow_mut().entry(format!("{kind} {answer}")).or_default() += 1;
    }
}

/// Plays `cases` generated lists of operations; fails unless each of the `claimed` cases, such as `Earn OK`, was met: a run
/// that never met a case would prove nothing of it.
pub fn play<S: Strategy>(
    cases: u32,
    operations: &S,
    claimed: &[impl AsRef<str>],
    play_one: impl AsyncFn(S::Value, &Coverage),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let coverage = Coverage::default();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let played = TestRunner::new(config).run(operations, |operations| {
        runtime.block_on(play_one(operations, &coverage));
        Ok(())
    });
    played.unwrap();
    let coverage = coverage.0.into_inner();
    for case in claimed {
        assert!(coverage.contains_key(case.as_ref()), "no {} in {coverage:?}", case.as_ref());
    }
}
