//! Hands the steps to the engine, and tells where in the file its objections belong.

use std::collections::BTreeMap;

use saga::{DefinitionFault, Direction, RetryFault};

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
            let order_is_known =
                !faults.iter().any(|f| matches!(f, DefinitionFault::UnknownAfter { .. }));
            for fault in &faults {
                // Which steps run beside the pivot is known only when every `after` names a step.
                if order_is_known || !matches!(fault, DefinitionFault::BesidePivot { .. }) {
                    report(fault, draft, problems);
                }
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
            // The engine reports a cycle; this loop must only end on one.
            before[i] = false;
        }
        if before == known {
            return before;
        }
    }
}

fn report(fault: &DefinitionFault, draft: &Draft, problems: &mut Problems) {
    let step = |index: usize| &draft.steps[index];
    let name = |index: usize| &step(index).name.value;
    let pivot = || draft.steps.iter().find(|step| step.pivot).map_or("", |step| &step.name.value);
    match fault {
        // Without any step that could be read, the reason has been reported.
        DefinitionFault::NoSteps if !draft.steps_readable => {}
        DefinitionFault::NoSteps => {
            problems.add(draft.steps_at, "the saga has no steps", "add `- step: the_name`");
        }
        // This was reported when the steps were read.
        DefinitionFault::TooManySteps => {}
        DefinitionFault::BadName { step: index } => {
            let what = format!("`{}` is no name for a step", name(*index));
            let cure = "write small letters, digits and underscores, a letter first";
            problems.add(step(*index).name.at, what, cure);
        }
        DefinitionFault::DuplicateStep { step: index } => {
            let what = format!("there are two steps `{}`", name(*index));
            problems.add(step(*index).name.at, what, "give one of them another name");
        }
        DefinitionFault::UnknownAfter { step: index, name: unknown } => {
            let at = after_at(step(*index), unknown);
            let what = format!("`{}` comes after `{unknown}`, which is no step", name(*index));
            let names = draft.steps.iter().map(|step| step.name.value.as_str());
            let cure = did_you_mean(unknown, names, "name a step of this saga");
            problems.add(at, what, cure);
        }
        DefinitionFault::Cycle { steps } => report_cycle(steps, draft, problems),
        DefinitionFault::SeveralPivots { step: index } => {
            let what = format!("`{}` is a second pivot beside `{}`", name(*index), pivot());
            problems.add(step(*index).pivot_at, what, "there is one point of no return: keep one");
        }
        DefinitionFault::UndoBehindPivot { step: index } => {
            let at = step(*index).undo.as_ref().map_or(step(*index).name.at, |undo| undo.at);
            let (name, pivot) = (name(*index), pivot());
            let what = format!("`{name}` has an undo behind the pivot `{pivot}`");
            let cure = "remove the undo: behind the pivot a step is tried until it succeeds";
            problems.add(at, what, cure);
        }
        DefinitionFault::BesidePivot { step: index } => {
            let (name, pivot) = (name(*index), pivot());
            let what = format!("`{name}` may fail when the pivot `{pivot}` is passed already");
            let cure = format!(
                "order them: add `{name}` to the `after` of `{pivot}`, or `{pivot}` to that of `{name}`"
            );
            problems.add(step(*index).name.at, what, cure);
        }
        DefinitionFault::BadRetry { step: index, direction, fault } => {
            let step = step(*index);
            let (key, at, retry) = match direction {
                Direction::Forward => ("retry", step.retry_at, &step.retry),
                Direction::Undo => ("undo_retry", step.undo_retry_at, &step.undo_retry),
            };
            let what = match fault {
                // The problem names both values, because one of them may be the default.
                RetryFault::BaseAboveCap => {
                    format!("base, {:?}, is above cap, {:?}", retry.base, retry.cap)
                }
                other => other.to_string(),
            };
            problems.add(at, format!("`{key}`: {what}"), "set `base` and `cap`, base the smaller");
        }
    }
}

/// The engine names all steps that can never begin; those that only follow a cycle are left out.
fn report_cycle(steps: &[usize], draft: &Draft, problems: &mut Problems) {
    let before = ancestors(&draft.steps);
    let waits_for_itself = |index: &usize| {
        let named = |name: &Text| name.value == draft.steps[*index].name.value;
        steps.iter().any(|other| before[*index][*other] && before[*other][*index])
            || draft.steps[*index].after.iter().flatten().any(named)
    };
    let cycle: Vec<usize> = steps.iter().copied().filter(waits_for_itself).collect();
    let Some(first) = cycle.first() else { return };
    let names: Vec<String> =
        cycle.iter().map(|step| format!("`{}`", draft.steps[*step].name.value)).collect();
    let what = match names.as_slice() {
        [one] => format!("{one} waits for itself"),
        all => format!("{} wait for each other", all.join(", ")),
    };
    let step = &draft.steps[*first];
    let at = step.after.iter().flatten().next().map_or(step.name.at, |name| name.at);
    problems.add(at, what, "remove one of them from an `after`");
}

fn after_at(step: &StepDraft, name: &str) -> Position {
    let found = step.after.iter().flatten().find(|text| text.value == name);
    found.map_or(step.name.at, |text| text.at)
}
