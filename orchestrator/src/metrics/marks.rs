//! What the records of a saga are counted as. It follows from the records alone, so what was counted can be counted again
//! from the journals.

use std::time::Duration;

use definition::Method;
use proto::facade::v1::Reason as Registered;
use saga::{
    Answer, Definition, Direction, Event, IllegalEvent, Outcome, Reason, Record, SagaState, StepId,
};

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AttemptResult {
    /// It was done, or there was nothing to undo.
    Ok,
    /// The participant said no.
    Declined,
    /// Nobody knows, and it is made again.
    Retry,
    /// Nobody knows, or it can never be done, and it is not made again by itself.
    GiveUp,
    /// It was under way when its node stopped.
    Lost,
    /// It has not reached the participant.
    NotSent,
    /// The participant has too much to do.
    PushedBack,
}

impl AttemptResult {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ok,
        Self::Declined,
        Self::Retry,
        Self::GiveUp,
        Self::Lost,
        Self::NotSent,
        Self::PushedBack,
    ];

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Declined => "declined",
            Self::Retry => "retry",
            Self::GiveUp => "giveup",
            Self::Lost => "lost",
            Self::NotSent => "not_sent",
            Self::PushedBack => "pushed_back",
        }
    }
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SagaOutcome {
    Succeeded,
    Compensated,
    Resolved,
}

impl SagaOutcome {
    pub(crate) const ALL: [Self; 3] = [Self::Succeeded, Self::Compensated, Self::Resolved];

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Compensated => "compensated",
            Self::Resolved => "resolved",
        }
    }
}

/// What an undoing came to first. Each has one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CompensationOutcome {
    /// All was undone, and nobody had to help.
    Succeeded,
    /// It came to need a person, or one did a part of it by hand. It stays so when it comes to its end after that.
    Attention,
}

impl CompensationOutcome {
    pub(crate) const ALL: [Self; 2] = [Self::Succeeded, Self::Attention];

    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Attention => "attention",
        }
    }
}

/// One thing to count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mark {
    /// A saga was started.
    Started,
    /// An attempt has come to something.
    Attempt { step: StepId, method: Method, result: AttemptResult },
    /// The saga turned back or came to need a person; the reason is `None` where it is not registered.
    Failed { step: Option<StepId>, reason: Option<Registered> },
    /// An undoing came to something, so long after the saga turned back.
    Compensated { outcome: CompensationOutcome, took: Duration },
    /// A saga has ended, so long after its start.
    Finished { outcome: SagaOutcome, took: Duration },
    /// A saga was taken up that a stopped process left.
    Recovered,
    /// A saga that slept was taken up at an instant that its wait does not explain.
    WokenLate,
}

/// The marks of records that are not counted yet: they are when the records are on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks(Vec<Mark>);

impl Marks {
    /// Applies a record and marks what it counts as.
    ///
    /// # Errors
    /// Those of [`saga::apply`]; nothing is marked then.
    pub(crate) fn apply(
        &mut self,
        state: &mut SagaState,
        definition: &Definition,
        record: &Record,
    ) -> Result<(), IllegalEvent> {
        let before = Before::of(state, definition, &record.event);
        saga::apply(state, definition, record)?;
        self.mark(&before, state, definition, record);
        Ok(())
    }

    /// Takes the marks out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Mark> {
        self.0.drain(..)
    }

    fn mark(
        &mut self,
        before: &Before,
        state: &SagaState,
        definition: &Definition,
        record: &Record,
    ) {
        match &record.event {
            Event::Started { .. } => self.0.push(Mark::Started),
            Event::CallAnswered { step, answer, .. } => {
                self.attempt(state, *step, Method::Call, answer);
            }
            Event::UndoAnswered { step, answer, .. } => {
                self.attempt(state, *step, Method::Undo, answer);
            }
            Event::LookupAnswered { step, answer, .. } => {
                self.attempt(state, *step, Method::Lookup, answer);
            }
            Event::TurnedBack { cause } => self.failed(cause.step, &cause.reason),
            Event::Parked { step, reason } => self.failed(*step, reason),
            Event::Recovered { .. } => {
                self.0.push(Mark::Recovered);
                self.lost(before, state, definition);
            }
            Event::Woken { .. } => self.0.push(Mark::WokenLate),
            Event::Finished { outcome, .. } => self.finished(state, *outcome, record),
            Event::Resolved { .. } => self.ended(state, SagaOutcome::Resolved, record),
            Event::Skipped { .. }
            | Event::CallIntended { .. }
            | Event::UndoIntended { .. }
            | Event::LookupIntended { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
            | Event::Retried { .. }
            | Event::Cancelled { .. }
            | Event::SkippedByHand { .. } => {}
        }
        if state.undo_needed_person() && !before.undo_needed_person {
            self.compensated(state, CompensationOutcome::Attention, record);
        }
    }

    fn attempt(&mut self, state: &SagaState, step: StepId, method: Method, answer: &Answer) {
        let direction = match method {
            Method::Call => Direction::Forward,
            Method::Undo | Method::Lookup => Direction::Undo,
        };
        let result = match answer {
            Answer::Done { .. } | Answer::NothingToUndo => AttemptResult::Ok,
            Answer::Declined(_) => AttemptResult::Declined,
            Answer::NotSent(_) => AttemptResult::NotSent,
            Answer::PushedBack { .. } => AttemptResult::PushedBack,
            Answer::Unknown(_) if state.is_tried_again(step, direction) => AttemptResult::Retry,
            Answer::Unknown(_) | Answer::Unusable(_) => AttemptResult::GiveUp,
        };
        self.0.push(Mark::Attempt { step, method, result });
    }

    /// Every attempt that was under way when the node stopped.
    fn lost(&mut self, before: &Before, state: &SagaState, definition: &Definition) {
        let made = attempts(state, definition);
        for ((step, direction, made), (_, _, made_before)) in made.zip(&before.attempts) {
            let method = match direction {
                Direction::Forward => Method::Call,
                Direction::Undo if state.looks_up(step) => Method::Lookup,
                Direction::Undo => Method::Undo,
            };
            if made > *made_before {
                self.0.push(Mark::Attempt { step, method, result: AttemptResult::Lost });
            }
        }
    }

    fn failed(&mut self, step: Option<StepId>, reason: &Reason) {
        self.0.push(Mark::Failed { step, reason: Registered::from_code(&reason.code) });
    }

    fn finished(&mut self, state: &SagaState, outcome: Outcome, record: &Record) {
        let outcome = match outcome {
            Outcome::Succeeded => SagaOutcome::Succeeded,
            Outcome::Compensated => SagaOutcome::Compensated,
        };
        self.ended(state, outcome, record);
        if !state.undo_needed_person() {
            self.compensated(state, CompensationOutcome::Succeeded, record);
        }
    }

    fn ended(&mut self, state: &SagaState, outcome: SagaOutcome, record: &Record) {
        let took = record.at.since(state.started_at());
        self.0.push(Mark::Finished { outcome, took });
    }

    fn compensated(&mut self, state: &SagaState, outcome: CompensationOutcome, record: &Record) {
        let Some(compensation) = state.compensation() else { return };
        let took = record.at.since(compensation.began_at);
        self.0.push(Mark::Compensated { outcome, took });
    }
}

/// What is to be known of a state before a record is applied.
struct Before {
    undo_needed_person: bool,
    /// Only before the saga is taken up.
    attempts: Vec<(StepId, Direction, u32)>,
}

impl Before {
    fn of(state: &SagaState, definition: &Definition, event: &Event) -> Self {
        let attempts = match event {
            Event::Recovered { .. } => attempts(state, definition).collect(),
            _ => Vec::new(),
        };
        Self { undo_needed_person: state.undo_needed_person(), attempts }
    }
}

fn attempts(
    state: &SagaState,
    definition: &Definition,
) -> impl Iterator<Item = (StepId, Direction, u32)> {
    let steps = (0..).map(StepId).take(definition.steps().len());
    let directions =
        |step| [Direction::Forward, Direction::Undo].map(|direction| (step, direction));
    steps.flat_map(directions).map(|(step, direction)| {
        let made = state.attempts(step, direction);
        (step, direction, made)
    })
}

#[cfg(test)]
impl FromIterator<Mark> for Marks {
    fn from_iter<M: IntoIterator<Item = Mark>>(marks: M) -> Self {
        Self(marks.into_iter().collect())
    }
}
