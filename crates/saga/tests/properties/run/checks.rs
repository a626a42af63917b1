//! What must be true of every run: of each call when it is made, and of the world at the end.

use saga::{Direction, Event, Reason, Status, StepId, StepStatus};

use super::Run;

impl Run<'_> {
    /// What must be true when a call or an undo is made.
    pub(super) fn check_order(&mut self, step: StepId, direction: Direction) {
        let definition = &self.case.definition;
        match direction {
            Direction::Forward => {
                let fresh = self.world.called.insert(step);
                assert!(
                    !(fresh && self.state.cause().is_some()),
                    "{step:?} begins after the saga turned back"
                );
                for earlier in definition.graph().ancestors(step) {
                    let status = self.state.step(*earlier).status;
                    let passed = matches!(status, StepStatus::Done | StepStatus::Skipped);
                    assert!(
                        passed || self.state.cause().is_some(),
                        "{step:?} begins before {earlier:?} is done"
                    );
                }
            }
            Direction::Undo => {
                assert!(definition.step(step).undo, "{step:?} has no undo");
                assert!(
                    self.world.called.contains(&step),
                    "{step:?} is undone and was never called"
                );
                assert!(self.world.sent.contains(&step), "{step:?} is undone and was never sent");
                assert!(
                    !self.calls.contains_key(&(step, Direction::Forward)),
                    "{step:?} is undone under way"
                );
                if !self.by_hand {
                    self.world.assert_may_be_undone(definition, step);
                }
            }
        }
    }

    /// A saga that needs a person for an undo has nothing else left to undo but what the stuck ones came after.
    pub(super) fn check_only_ancestors_wait(&self) {
        if self.state.cause().is_none() {
            return;
        }
        let definition = &self.case.definition;
        let is_stuck = |step: &StepId| self.state.step(*step).status == StepStatus::Stuck;
        for step in definition.ids().filter(|step| definition.step(*step).undo && !is_stuck(step)) {
            let waits = definition
                .ids()
                .filter(is_stuck)
                .any(|stuck| definition.graph().ancestors(stuck).contains(&step));
            assert!(
                waits || self.by_hand || !self.world.effects.contains(&step),
                "{step:?} is not undone, and waits for no stuck undo: {:?}",
                self.state
            );
        }
    }

    /// Keeps which cases the run has met.
    pub(super) fn note(&mut self, event: &Event) {
        let backward = self.state.cause().is_some();
        self.met.extend(match event {
            Event::Skipped { step } if self.case.definition.step(*step).pivot => {
                Some("pivot skipped")
            }
            Event::Skipped { .. } => Some("skipped by its condition"),
            Event::TurnedBack { cause } => Some(match cause.reason.code.as_str() {
                Reason::DEADLINE_PASSED => "turned back by the deadline",
                Reason::STEP_UNANSWERED => "turned back by a spent budget",
                _ => "turned back by a decline",
            }),
            Event::Cancelled { .. } => Some("turned back by an operator"),
            Event::Parked { .. } if backward => Some("attention while compensating"),
            Event::Parked { .. } => Some("attention going forward"),
            Event::Resumed { .. } => Some("paused and resumed"),
            Event::Retried { .. } => Some("retried by an operator"),
            Event::SkippedByHand { .. } => Some("skipped by hand"),
            Event::UndoIntended { step, .. } if self.state.response(*step).is_none() => {
                Some("undid a call that never answered")
            }
            _ => None,
        });
    }

    /// What must be true at the end, by the world alone.
    pub(super) fn judge(&mut self) {
        let definition = &self.case.definition;
        match self.state.status() {
            Status::Succeeded => {
                self.met.push("succeeded");
                for step in definition.ids() {
                    let skipped = self.state.step(step).status == StepStatus::Skipped;
                    assert!(
                        skipped || self.world.effects.contains(&step),
                        "SUCCEEDED, and {step:?} has no effect: {:?}",
                        self.state
                    );
                }
                assert!(self.world.undone.is_empty(), "SUCCEEDED, and something was undone");
            }
            Status::Compensated => {
                self.met.push("compensated");
                for step in definition.ids().filter(|step| definition.step(*step).undo) {
                    assert!(
                        self.by_hand || !self.world.effects.contains(&step),
                        "COMPENSATED, and {step:?} still holds: {:?}",
                        self.state
                    );
                }
                let called = |step: &StepId| self.world.called.contains(step);
                let never_sent = |step: &StepId| called(step) && !self.world.sent.contains(step);
                if definition.ids().any(|step| never_sent(&step)) {
                    self.met.push("ended with a step that was never sent and is not undone");
                }
                let pivot = definition.pivot().filter(|pivot| !definition.step(*pivot).undo);
                assert!(
                    self.by_hand || pivot.is_none_or(|pivot| !self.world.effects.contains(&pivot)),
                    "COMPENSATED, and the pivot, which cannot be undone, holds"
                );
            }
            Status::Resolved => self.met.push("resolved"),
            status => panic!("{status:?} is no end"),
        }
    }
}
