//! The order of a definition's steps, and what makes it impossible.

use std::collections::BTreeSet;

use crate::definition::{Definition, DefinitionFault, Direction, Step, StepId};

/// Which steps must come before which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Per step, those that must be done first.
    after: Vec<Vec<StepId>>,
    /// Per step, all that come before it, however far.
    ancestors: Vec<BTreeSet<StepId>>,
}

impl Graph {
    /// The steps that must be done right before `step`.
    #[must_use]
    pub fn after(&self, step: StepId) -> &[StepId] {
        &self.after[step.index()]
    }

    /// All steps that come before `step`, however far.
    #[must_use]
    pub fn ancestors(&self, step: StepId) -> &BTreeSet<StepId> {
        &self.ancestors[step.index()]
    }
}

pub(crate) fn build(steps: &[Step]) -> Result<Graph, Vec<DefinitionFault>> {
    let mut faults = Vec::new();
    if steps.is_empty() {
        return Err(vec![DefinitionFault::NoSteps]);
    }
    if steps.len() > Definition::STEPS_MAX {
        return Err(vec![DefinitionFault::TooManySteps]);
    }
    check_each(steps, &mut faults);
    let after = edges(steps, &mut faults);
    let Some(ancestors) = ancestors(&after, &mut faults) else { return Err(faults) };
    check_pivot(steps, &ancestors, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Graph { after, ancestors })
}

fn id(index: usize) -> StepId {
    // Definitions have at most `STEPS_MAX` steps.
    StepId(u16::try_from(index).unwrap_or(u16::MAX))
}

fn check_each(steps: &[Step], faults: &mut Vec<DefinitionFault>) {
    for (index, step) in steps.iter().enumerate() {
        let mut letters = step.name.bytes();
        let sound = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !sound {
            faults.push(DefinitionFault::BadName { step: index });
        }
        if steps[..index].iter().any(|earlier| earlier.name == step.name) {
            faults.push(DefinitionFault::DuplicateStep { step: index });
        }
        for (direction, retry) in
            [(Direction::Forward, &step.retry), (Direction::Undo, &step.undo_retry)]
        {
            if let Some(fault) = retry.fault() {
                faults.push(DefinitionFault::BadRetry { step: index, direction, fault });
            }
        }
    }
}

fn edges(steps: &[Step], faults: &mut Vec<DefinitionFault>) -> Vec<Vec<StepId>> {
    let mut edges = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let mut first: BTreeSet<StepId> = BTreeSet::new();
        match &step.after {
            None => first.extend(index.checked_sub(1).map(id)),
            Some(names) => {
                for name in names {
                    match steps.iter().position(|other| other.name == *name) {
                        Some(other) => {
                            first.insert(id(other));
                        }
                        None => faults.push(DefinitionFault::UnknownAfter {
                            step: index,
                            name: name.clone(),
                        }),
                    }
                }
            }
        }
        edges.push(first.into_iter().collect());
    }
    edges
}

/// All that comes before each step; `None`, with a fault, where steps wait for each other.
fn ancestors(
    after: &[Vec<StepId>],
    faults: &mut Vec<DefinitionFault>,
) -> Option<Vec<BTreeSet<StepId>>> {
    let mut known: Vec<Option<BTreeSet<StepId>>> = vec![None; after.len()];
    loop {
        let mut moved = false;
        for index in 0..after.len() {
            if known[index].is_some()
                || !after[index].iter().all(|step| known[step.index()].is_some())
            {
                continue;
            }
            let mut all: BTreeSet<StepId> = after[index].iter().copied().collect();
            for step in &after[index] {
                all.extend(known[step.index()].iter().flatten());
            }
            known[index] = Some(all);
            moved = true;
        }
        if !moved {
            break;
        }
    }
    let stuck: Vec<usize> = (0..after.len()).filter(|index| known[*index].is_none()).collect();
    if stuck.is_empty() {
        return known.into_iter().collect();
    }
    faults.push(DefinitionFault::Cycle { steps: stuck });
    None
}

fn check_pivot(steps: &[Step], ancestors: &[BTreeSet<StepId>], faults: &mut Vec<DefinitionFault>) {
    let mut pivots =
        steps.iter().enumerate().filter(|(_, step)| step.pivot).map(|(index, _)| index);
    let Some(pivot) = pivots.next() else { return };
    faults.extend(pivots.map(|step| DefinitionFault::SeveralPivots { step }));
    for (index, step) in steps.iter().enumerate() {
        let behind = ancestors[index].contains(&id(pivot));
        if behind && step.undo {
            faults.push(DefinitionFault::UndoBehindPivot { step: index });
        }
        if index != pivot && !behind && !ancestors[pivot].contains(&id(index)) {
            faults.push(DefinitionFault::BesidePivot { step: index });
        }
    }
}
