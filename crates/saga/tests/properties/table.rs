//! Which events fit where, told from the history alone and in other words than the engine's: what it refuses and what
//! it lets pass is held against this.

use saga::{Answer, Definition, Event, Record, SagaState, Status, StepId};

/// What must become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fits,
    Refused,
    /// The history alone does not tell: it hangs on the time, or on a budget.
    Either,
}

fn verdict(fits: bool) -> Verdict {
    if fits { Verdict::Fits } else { Verdict::Refused }
}

fn at_most(may_fit: bool) -> Verdict {
    if may_fit { Verdict::Either } else { Verdict::Refused }
}

pub(crate) struct History<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) records: &'a [Record],
    pub(crate) state: &'a SagaState,
}

impl History<'_> {
    pub(crate) fn verdict(&self, event: &Event) -> Verdict {
        let status = self.state.status();
        if status.is_ended() {
            return Verdict::Refused;
        }
        let moving = matches!(status, Status::Running | Status::Compensating);
        match event {
            Event::Started { .. } => Verdict::Refused,
            Event::Recovered { .. } | Event::Woken { .. } => Verdict::Fits,
            Event::Parked { .. } | Event::Paused { .. } => verdict(moving),
            Event::Resumed { .. } => verdict(status == Status::Paused),
            Event::Retried { .. } => verdict(moving || status == Status::Attention),
            Event::Resolved { .. } => verdict(!moving),
            Event::Cancelled { .. } => self.way_back(),
            Event::TurnedBack { .. } if !moving => Verdict::Refused,
            Event::TurnedBack { .. } => self.way_back(),
            Event::Skipped { step } => {
                verdict(self.may_begin(*step) && self.definition.step(*step).conditional)
            }
            Event::CallIntended { step, .. } => verdict(self.may_begin(*step)),
            Event::CallAnswered { answer: Answer::NothingToUndo, .. } => Verdict::Refused,
            Event::CallAnswered { step, .. } => {
                at_most(self.was_called(*step) && !self.is_passed(*step))
            }
            Event::UndoIntended { step, .. } | Event::LookupIntended { step, .. } => at_most(
                (moving || status == Status::Attention)
                    && self.turned()
                    && self.definition.step(*step).undo
                    && self.was_called(*step)
                    && !self.undo_begun(*step)
                    && self.nothing_behind_is_half_undone(*step),
            ),
            Event::UndoAnswered { step, .. } => {
                at_most(self.undo_begun(*step) && !self.is_undone(*step))
            }
            // No saga that is played here looks anything up.
            Event::LookupAnswered { .. } => Verdict::Refused,
            Event::SkippedByHand { step, .. } if self.turned() => at_most(
                self.definition.step(*step).undo
                    && self.was_called(*step)
                    && !self.is_undone(*step),
            ),
            Event::SkippedByHand { step, .. } if self.is_passed(*step) => Verdict::Refused,
            Event::SkippedByHand { step, .. } if !self.was_called(*step) => Verdict::Fits,
            Event::SkippedByHand { .. } => Verdict::Either,
            Event::Finished { outcome: saga::Outcome::Succeeded, .. } => verdict(
                moving && !self.turned() && self.definition.ids().all(|step| self.is_passed(step)),
            ),
            Event::Finished { outcome: saga::Outcome::Compensated, .. } => at_most(
                moving
                    && self.turned()
                    && self
                        .definition
                        .ids()
                        .all(|step| !self.undo_begun(step) || self.is_undone(step)),
            ),
        }
    }

    fn any(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.records.iter().any(|record| is_it(&record.event))
    }

    fn turned(&self) -> bool {
        self.any(|event| matches!(event, Event::TurnedBack { .. } | Event::Cancelled { .. }))
    }

    /// How many records there were when the saga turned back, or are now.
    fn forward(&self) -> &[Record] {
        let turned = self.records.iter().position(|record| {
            matches!(record.event, Event::TurnedBack { .. } | Event::Cancelled { .. })
        });
        &self.records[..turned.unwrap_or(self.records.len())]
    }

    fn was_called(&self, wanted: StepId) -> bool {
        self.any(|event| matches!(event, Event::CallIntended { step, .. } if *step == wanted))
    }

    fn is_passed(&self, wanted: StepId) -> bool {
        let by_hand = self.forward().iter().any(
            |record| matches!(record.event, Event::SkippedByHand { step, .. } if step == wanted),
        );
        by_hand
            || self.any(|event| match event {
                Event::Skipped { step } => *step == wanted,
                Event::CallAnswered { step, answer: Answer::Done { .. }, .. } => *step == wanted,
                _ => false,
            })
    }

    fn all_before_is_passed(&self, step: StepId) -> bool {
        self.definition.graph().ancestors(step).iter().all(|earlier| self.is_passed(*earlier))
    }

    fn may_begin(&self, step: StepId) -> bool {
        self.state.status() == Status::Running
            && !self.was_called(step)
            && !self.is_passed(step)
            && self.all_before_is_passed(step)
    }

    fn way_back(&self) -> Verdict {
        let Some(pivot) = self.definition.pivot() else { return verdict(!self.turned()) };
        let passed = self.is_passed(pivot) && self.all_before_is_passed(pivot);
        let in_doubt = !self.definition.step(pivot).undo
            && self.was_called(pivot)
            && !self.is_passed(pivot)
            && !self.was_declined(pivot);
        match passed || self.turned() {
            true => Verdict::Refused,
            // As long as it waits for its next attempt, or where it is given up.
            false if in_doubt => at_most(self.was_never_sent(pivot)),
            false => Verdict::Fits,
        }
    }

    /// Every attempt that was made of the call has certainly not reached the participant.
    fn was_never_sent(&self, wanted: StepId) -> bool {
        let intended = |record: &Record| matches!(record.event, Event::CallIntended { step, .. } if step == wanted);
        let Some(from) = self.records.iter().position(intended) else { return false };
        let answers = self.records[from..].iter().filter_map(|record| match &record.event {
            Event::CallAnswered { step, answer, .. } if *step == wanted => {
                Some(matches!(answer, Answer::NotSent(_)))
            }
            Event::Recovered { .. } => Some(false),
            _ => None,
        });
        answers.clone().count() > 0 && answers.into_iter().all(|not_sent| not_sent)
    }

    fn was_declined(&self, wanted: StepId) -> bool {
        self.any(|event| matches!(event, Event::CallAnswered { step, answer: Answer::Declined(_), .. } if *step == wanted))
    }

    fn undo_begun(&self, wanted: StepId) -> bool {
        self.any(|event| matches!(event, Event::UndoIntended { step, .. } if *step == wanted))
    }

    fn is_undone(&self, wanted: StepId) -> bool {
        let answered = self.any(|event| match event {
            Event::UndoAnswered { step, answer, .. } => {
                *step == wanted && matches!(answer, Answer::Done { .. } | Answer::NothingToUndo)
            }
            _ => false,
        });
        let by_hand = self.records[self.forward().len()..].iter().any(
            |record| matches!(record.event, Event::SkippedByHand { step, .. } if step == wanted),
        );
        answered || by_hand
    }

    /// A step that was done, and has an undo, is undone before the ones it came after.
    fn nothing_behind_is_half_undone(&self, step: StepId) -> bool {
        self.definition
            .ids()
            .filter(|later| self.definition.graph().ancestors(*later).contains(&step))
            .filter(|later| self.definition.step(*later).undo && self.was_called(*later))
            .filter(|later| !self.was_declined(*later) && !self.was_never_sent(*later))
            .all(|later| self.is_undone(later))
    }
}
