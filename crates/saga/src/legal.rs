//! Which records fit which states: one table, and its rules in words that an operator can act on.

use crate::{
    answer::Answer,
    definition::{Definition, StepId},
    event::{Event, Outcome, Record},
    standing::{
        is_all_undone, is_blocked, is_ready, may_be_undone, may_have_begun, only_goes_forward,
    },
    state::{Hold, Progress, SagaState},
    timestamp::Timestamp,
};

/// A record that does not fit the state: nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IllegalEvent(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, IllegalEvent> {
    Err(IllegalEvent(why.into()))
}

/// The table of legal transitions.
pub(crate) fn check(
    state: &SagaState,
    definition: &Definition,
    record: &Record,
) -> Result<(), IllegalEvent> {
    if record.seq != state.next_seq {
        return refuse(format!("record {} cannot follow: {} is next", record.seq, state.next_seq));
    }
    let is_start = matches!(record.event, Event::Started { .. });
    if is_start != (record.seq == 0) {
        return refuse("a saga is started once, by its first record");
    }
    if let Some(ended) = state.ended {
        return refuse(format!("the saga has ended: {}", ended.as_str()));
    }
    if let Some(step) = mentioned(&record.event)
        && step.index() >= definition.steps().len()
    {
        return refuse(format!("the definition has no step number {}", step.0));
    }
    let rules = Rules { state, definition, at: record.at };
    match &record.event {
        Event::Started { .. } | Event::Recovered { .. } | Event::Woken { .. } => Ok(()),
        Event::Skipped { step } => rules.may_begin(*step).and_then(|()| rules.conditional(*step)),
        Event::CallIntended { step, .. } => rules.may_begin(*step),
        Event::CallAnswered { step, answer, .. } => rules.call_answered(*step, answer),
        Event::TurnedBack { .. } => rules.not_held().and_then(|()| rules.may_turn_back()),
        Event::UndoIntended { step, .. } => rules.may_undo(*step),
        Event::UndoAnswered { step, .. } => rules.undo_answered(*step, false),
        Event::LookupIntended { step, .. } => rules.may_look_up(*step),
        Event::LookupAnswered { step, .. } => rules.undo_answered(*step, true),
        Event::Parked { step, .. } => rules.may_park(*step),
        Event::Paused { .. } => rules.not_held(),
        Event::Resumed { .. } => match state.hold {
            Some((Hold::Paused, _)) => Ok(()),
            _ => refuse(format!(
                "only a paused saga can be resumed; this one is {}",
                state.status().as_str()
            )),
        },
        Event::Retried { .. } => match state.hold {
            Some((Hold::Paused, _)) => refuse("the saga is paused: resume it instead"),
            _ => Ok(()),
        },
        Event::Cancelled { .. } => rules.may_turn_back(),
        Event::SkippedByHand { step, .. } => rules.may_skip(*step),
        Event::Resolved { .. } => match state.hold {
            Some(_) => Ok(()),
            None => refuse(format!(
                "only a saga in ATTENTION or PAUSED can be resolved; this one is {}",
                state.status().as_str()
            )),
        },
        Event::Finished { outcome, .. } => rules.may_finish(*outcome),
    }
}

fn mentioned(event: &Event) -> Option<StepId> {
    match event {
        Event::Skipped { step }
        | Event::CallIntended { step, .. }
        | Event::CallAnswered { step, .. }
        | Event::UndoIntended { step, .. }
        | Event::UndoAnswered { step, .. }
        | Event::LookupIntended { step, .. }
        | Event::LookupAnswered { step, .. }
        | Event::SkippedByHand { step, .. } => Some(*step),
        Event::TurnedBack { cause } => cause.step,
        Event::Parked { step, .. } => *step,
        _ => None,
    }
}

struct Rules<'a> {
    state: &'a SagaState,
    definition: &'a Definition,
    at: Timestamp,
}

impl Rules<'_> {
    fn name(&self, step: StepId) -> &str {
        &self.definition.step(step).name
    }

    fn not_held(&self) -> Result<(), IllegalEvent> {
        match self.state.hold {
            None => Ok(()),
            Some(_) => refuse(format!("the saga is held: {}", self.state.status().as_str())),
        }
    }

    /// A saga that needs a person already can only come to need one for another undo.
    fn may_park(&self, step: Option<StepId>) -> Result<(), IllegalEvent> {
        let goes_on = self.state.hold.is_some() && !is_blocked(self.state);
        match step {
            Some(step) if goes_on => match self.state.at(step).undo.stuck {
                true => refuse(format!("{} needs a person already", self.name(step))),
                false => self.may_undo(step),
            },
            _ => self.not_held(),
        }
    }

    fn may_turn_back(&self) -> Result<(), IllegalEvent> {
        if self.state.cause.is_some() {
            return refuse("the saga is turning back already");
        }
        if self.state.pivot_passed(self.definition) {
            return refuse("it is too late: the saga is past its pivot and only goes forward");
        }
        if only_goes_forward(self.definition, self.state, self.at) {
            return refuse(
                "it is too late: the pivot's call is under way, and has no undo that could take it back",
            );
        }
        Ok(())
    }

    fn may_begin(&self, step: StepId) -> Result<(), IllegalEvent> {
        self.not_held()?;
        if self.state.cause.is_some() {
            return refuse(format!("{} cannot begin: the saga is turning back", self.name(step)));
        }
        if self.state.at(step).call.progress != Progress::Idle {
            return refuse(format!("{} has begun already", self.name(step)));
        }
        if !is_ready(self.definition, self.state, step) {
            return refuse(format!(
                "{} cannot begin: a step before it is not done",
                self.name(step)
            ));
        }
        Ok(())
    }

    fn conditional(&self, step: StepId) -> Result<(), IllegalEvent> {
        match self.definition.step(step).conditional {
            true => Ok(()),
            false => refuse(format!("{} has no condition and cannot be skipped", self.name(step))),
        }
    }

    fn call_answered(&self, step: StepId, answer: &Answer) -> Result<(), IllegalEvent> {
        if !matches!(self.state.at(step).call.progress, Progress::Open { .. }) {
            return refuse(format!("{} has no call under way", self.name(step)));
        }
        match answer {
            Answer::NothingToUndo => {
                refuse(format!("the call of {} cannot have nothing to undo", self.name(step)))
            }
            _ => Ok(()),
        }
    }

    fn may_undo(&self, step: StepId) -> Result<(), IllegalEvent> {
        if is_blocked(self.state) {
            return self.not_held();
        }
        if !may_be_undone(self.definition, self.state, step)
            || self.state.at(step).undo.progress != Progress::Idle
        {
            return refuse(format!("{} is not to be undone now", self.name(step)));
        }
        Ok(())
    }

    /// A lookup comes before the undo, once, and where there is no response that would say the same.
    fn may_look_up(&self, step: StepId) -> Result<(), IllegalEvent> {
        match self.state.at(step).found {
            Some(_) => refuse(format!("{} has been looked up already", self.name(step))),
            None => self.may_undo(step),
        }
    }

    fn undo_answered(&self, step: StepId, is_lookup: bool) -> Result<(), IllegalEvent> {
        let known = self.state.at(step);
        match known.undo.progress {
            Progress::Open { .. } if known.looks_up == is_lookup => Ok(()),
            _ if is_lookup => refuse(format!("{} has no lookup under way", self.name(step))),
            _ => refuse(format!("{} has no undo under way", self.name(step))),
        }
    }

    fn may_skip(&self, step: StepId) -> Result<(), IllegalEvent> {
        let name = self.name(step);
        let (direction, open) = match self.state.cause {
            None => ("call", &self.state.at(step).call),
            Some(_) => ("undo", &self.state.at(step).undo),
        };
        let settled = match self.state.cause {
            None => self.state.at(step).is_passed(),
            Some(_) => !self.definition.step(step).undo || !self.state.at(step).needs_undo(),
        };
        if settled {
            return refuse(format!("{name} is settled: there is nothing to skip"));
        }
        if matches!(self.state.at(step).call.progress, Progress::Open { .. })
            && self.state.cause.is_some()
        {
            return refuse(format!("{name}: its call is under way; wait for its answer"));
        }
        let can_turn_back = self.state.can_turn_back(self.definition, self.at);
        match open.progress {
            Progress::Open { due }
                if !open.stuck && may_have_begun(self.state, due, self.at, can_turn_back) =>
            {
                refuse(format!("{name}: its {direction} is under way; wait for its answer"))
            }
            _ => Ok(()),
        }
    }

    fn may_finish(&self, outcome: Outcome) -> Result<(), IllegalEvent> {
        self.not_held()?;
        let reached = match outcome {
            Outcome::Succeeded => self.state.is_outcome_reached(outcome),
            Outcome::Compensated => {
                self.state.is_outcome_reached(outcome) && is_all_undone(self.definition, self.state)
            }
        };
        if reached { Ok(()) } else { refuse("the saga is not at its end") }
    }
}
