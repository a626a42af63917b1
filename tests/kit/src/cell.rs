//! A cell of a fault matrix: the faults of one saga, where the mesh dies meanwhile, and how it must end all the same.

use std::fmt;

use saga::{Definition, Direction, Status, StepId};
use tonic::Code;

use crate::{
    crash::CrashPoint,
    fault::{Effect, Fault, Planned, Times},
    script::Seen,
};

/// The faults of one saga, and where the mesh dies meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// What goes wrong.
    pub faults: Vec<Planned>,
    /// Where the mesh dies.
    pub crash: Option<CrashPoint>,
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Planned { step, direction, fault, times } in &self.faults {
            write!(formatter, "[{step} {} {fault:?} {times:?}]", direction.as_str())?;
        }
        match &self.crash {
            Some(CrashPoint { append, side }) => {
                write!(formatter, " dies {side:?} append {append}")
            }
            None => Ok(()),
        }
    }
}

/// Every fault at every step of the definition, in both directions.
///
/// A step is undone because its answer never comes: so it is undone although it has taken effect. Once more because it
/// cannot be reached at all: then there is nothing to undo. `LateDelivery` needs an undo, after which it can be late;
/// behind the pivot nothing is undone.
#[must_use]
pub fn every_fault(definition: &Definition) -> Vec<Cell> {
    let mut cells = Vec::new();
    for id in definition.ids() {
        let step = definition.step(id);
        for fault in Fault::every() {
            let times = match fault {
                Fault::LateDelivery if !step.undo => continue,
                Fault::LateDelivery => Times::Always,
                _ => Times::Once,
            };
            let call = Planned::call(&step.name, fault, times);
            cells.push(Cell { faults: vec![call], crash: None });
            if step.undo && fault != Fault::LateDelivery {
                let never = Planned::call(&step.name, Fault::TimeOutAfter, Times::Always);
                let undo = Planned::undo(&step.name, fault, Times::Once);
                cells.push(Cell { faults: vec![never, undo], crash: None });
            }
        }
        if step.undo {
            let away = Planned::call(&step.name, Fault::Status(Code::Unavailable), Times::Always);
            cells.push(Cell { faults: vec![away], crash: None });
        }
    }
    cells
}

/// Calls that are not sent at every step: once, in both directions, and always, so that the saga turns back at its deadline with
/// nothing to undo of the step. For a mesh whose participants are reached over the network.
#[must_use]
pub fn every_call_not_sent(definition: &Definition) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |faults| cells.push(Cell { faults, crash: None });
    let pivot = definition.pivot();
    for id in definition.ids() {
        let step = definition.step(id);
        let not_sent = |times| Planned::call(&step.name, Fault::NotSent, times);
        add(vec![not_sent(Times::Once)]);
        if pivot.is_none_or(|pivot| !definition.graph().ancestors(id).contains(&pivot)) {
            add(vec![not_sent(Times::Always)]);
        }
        if step.undo {
            let never = Planned::call(&step.name, Fault::TimeOutAfter, Times::Always);
            add(vec![never, Planned::undo(&step.name, Fault::NotSent, Times::Once)]);
        }
    }
    cells
}

/// Each cell's last fault again, injected into the second attempt: the first meets every fault in turn after which
/// there is a second.
#[must_use]
pub fn every_second_fault(cells: &[Cell]) -> Vec<Cell> {
    let again = |fault: &Fault| fault.effect() == Effect::Again && *fault != Fault::LateDelivery;
    let firsts: Vec<Fault> = Fault::every().into_iter().filter(again).collect();
    let mut all = Vec::new();
    for Cell { faults, crash } in cells {
        let Some((second, before)) = faults.split_last() else { continue };
        // A call that has landed is answered when it comes again, however late.
        let fits = |first: &&Fault| !(first.takes_effect() && second.fault == Fault::LateDelivery);
        for first in firsts.iter().filter(fits) {
            let first = Planned { fault: *first, times: Times::Once, ..second.clone() };
            let faults = before.iter().cloned().chain([first, second.clone()]).collect();
            all.push(Cell { faults, crash: *crash });
        }
    }
    all
}

impl Cell {
    /// How the saga may stand before a person has done anything, by the rule for answers.
    ///
    /// There is one way, unless faults are injected into steps that run side by side, or the mesh dies: then a fault's answer may
    /// come second, or be lost with the process. The definition must have no `answers` of its own.
    #[must_use]
    pub fn allowed(&self, definition: &Definition) -> Vec<Status> {
        let mut allowed = self.statuses_in_any_order(definition);
        if self.crash.is_some() {
            let kept = self.faults.iter().filter(|planned| planned.times == Times::Always);
            let kept = Self { faults: kept.cloned().collect(), crash: None };
            allowed.extend(kept.statuses_in_any_order(definition));
        }
        allowed
    }

    fn statuses_in_any_order(&self, definition: &Definition) -> Vec<Status> {
        let mut steps: Vec<&str> =
            self.faults.iter().map(|planned| planned.step.as_str()).collect();
        steps.dedup();
        let all = expected(definition, &self.faults);
        let [one, other] = steps[..] else { return vec![all] };
        // The second fault matters only where the first lets the saga go on.
        let first_of = |first, second| match self.status_of_step(definition, first) {
            Status::Succeeded => self.status_of_step(definition, second),
            stopped => stopped,
        };
        if is_before(definition, one, other) {
            vec![first_of(one, other)]
        } else if is_before(definition, other, one) {
            vec![first_of(other, one)]
        } else {
            vec![first_of(one, other), first_of(other, one), all]
        }
    }

    /// The faults that must come about where the mesh does not die: none of another step stops the saga before their
    /// own step is reached. Of steps side by side that each stop it, none is certain.
    #[must_use]
    pub fn certain(&self, definition: &Definition) -> Vec<&Planned> {
        let reached = |planned: &&Planned| {
            self.faults.iter().all(|other| {
                other.step == planned.step
                    || self.status_of_step(definition, &other.step) == Status::Succeeded
                    || is_before(definition, &planned.step, &other.step)
            })
        };
        self.faults.iter().filter(reached).collect()
    }

    /// How a saga stands into which only this step's faults are injected.
    fn status_of_step(&self, definition: &Definition, step: &str) -> Status {
        let own: Vec<Planned> =
            self.faults.iter().filter(|planned| planned.step == step).cloned().collect();
        expected(definition, &own)
    }
}

fn is_before(definition: &Definition, one: &str, other: &str) -> bool {
    let (one, other) = (definition.find(one), definition.find(other));
    one.zip(other).is_some_and(|(one, other)| definition.graph().ancestors(other).contains(&one))
}

/// How a saga stands whose faults are all reached.
fn expected(definition: &Definition, faults: &[Planned]) -> Status {
    let effect = |step: &str, direction: Direction| {
        // One attempt after the other, until one settles the call.
        let attempts =
            faults.iter().filter(|planned| planned.step == step && planned.direction == direction);
        let mut settling = attempts
            .map(|planned| (planned.fault.effect(), planned.times))
            .skip_while(|attempt| *attempt == (Effect::Again, Times::Once));
        settling.next().map(|(effect, _)| effect).filter(|effect| *effect != Effect::None)
    };
    let call = |id: StepId| effect(&definition.step(id).name, Direction::Forward);
    let behind = |id: StepId| {
        definition.pivot().is_some_and(|pivot| definition.graph().ancestors(id).contains(&pivot))
    };
    let parks =
        |id: StepId| call(id) == Some(Effect::Attention) || (call(id).is_some() && behind(id));
    if definition.ids().any(parks) {
        return Status::Attention;
    }
    if !definition.ids().any(|id| call(id).is_some()) {
        return Status::Succeeded;
    }
    let undo_parks = definition
        .ids()
        .filter_map(|id| effect(&definition.step(id).name, Direction::Undo))
        .any(|effect| effect != Effect::Again);
    if undo_parks { Status::Attention } else { Status::Compensated }
}

/// How a cell came out.
#[derive(Clone, Debug)]
pub struct CellOutcome {
    /// The cell's number, from which its saga's start was made.
    pub number: usize,
    /// The cell.
    pub cell: Cell,
    /// How the saga stood before a person had done anything.
    pub first: Status,
    /// How it ended, after its faults were mended and a person had retried it.
    pub last: Status,
    /// What was seen at the seam.
    pub seen: Seen,
    /// Whether the mesh died.
    pub died: bool,
    /// What is wrong: each a sentence.
    pub wrong: Vec<String>,
}

/// How all cells came out.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each cell.
    pub outcomes: Vec<CellOutcome>,
}

impl Report {
    /// How many cells it is true of.
    #[must_use]
    pub fn count(&self, is: impl Fn(&CellOutcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| is(outcome)).count()
    }

    /// Fails with every sentence about every cell that came out wrong.
    ///
    /// # Panics
    /// When there is one.
    pub fn assert_right(&self) {
        let wrong: Vec<String> = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.wrong.is_empty())
            .map(|outcome| format!("{}: {}", outcome.cell, outcome.wrong.join("; ")))
            .collect();
        let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "{} of {} cells:\n{shown}", wrong.len(), self.outcomes.len());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |of: fn(&Seen) -> u32| -> u32 {
            self.outcomes.iter().map(|outcome| of(&outcome.seen)).sum()
        };
        write!(
            formatter,
            "{} cells: {} succeeded, {} compensated, {} parked; {} died on the way; {} answers were replayed, {} late \
             calls refused",
            self.outcomes.len(),
            self.count(|outcome| outcome.first == Status::Succeeded),
            self.count(|outcome| outcome.first == Status::Compensated),
            self.count(|outcome| outcome.first == Status::Attention),
            self.count(|outcome| outcome.died),
            sum(|seen| seen.replayed),
            sum(|seen| seen.superseded),
        )
    }
}
