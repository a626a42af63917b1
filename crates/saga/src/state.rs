//! Where a saga stands: what its records come to.

use bytes::Bytes;

use crate::{
    answer::Reason,
    definition::{Definition, Direction, StepId},
    event::{Cause, Outcome, TimeRules},
    standing::{may_have_begun, only_goes_forward},
    timestamp::Timestamp,
};

/// Where a saga stands, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Going forward.
    Running,
    /// Undoing.
    Compensating,
    /// Ended: every step is done or skipped.
    Succeeded,
    /// Ended: every step that had started is undone.
    Compensated,
    /// Held until a person has looked.
    Attention,
    /// Held by an operator.
    Paused,
    /// Ended by an operator.
    Resolved,
}

impl Status {
    const ALL: [Self; 7] = [
        Self::Running,
        Self::Compensating,
        Self::Succeeded,
        Self::Compensated,
        Self::Attention,
        Self::Paused,
        Self::Resolved,
    ];

    /// Its name, upper-case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Compensating => "COMPENSATING",
            Self::Succeeded => "SUCCEEDED",
            Self::Compensated => "COMPENSATED",
            Self::Attention => "ATTENTION",
            Self::Paused => "PAUSED",
            Self::Resolved => "RESOLVED",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether nothing will happen any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Compensated | Self::Resolved)
    }
}

/// Where a step stands, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Its call is under way.
    Running,
    /// It took effect.
    Done,
    /// The participant said no.
    Declined,
    /// Nobody knows whether it took effect.
    Unknown,
    /// Left out.
    Skipped,
    /// Its undo is under way.
    Undoing,
    /// It was undone.
    Undone,
    /// It needs a person.
    Stuck,
    /// Attempts of its call were made, and none has reached its participant.
    NotSent,
}

/// A step, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView<'a> {
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts of its call, the one that is under way or waited for included.
    pub attempts: u32,
    /// Attempts of its undo, the one that is under way or waited for included.
    pub undo_attempts: u32,
    /// Why the last attempt did not do.
    pub reason: Option<&'a Reason>,
    /// When the next attempt is due.
    pub due: Option<Timestamp>,
}

/// How far one direction of a step has come.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) enum Progress {
    /// No attempt is intended yet.
    #[default]
    Idle,
    /// Intended and not settled: an attempt is due, or under way, from this instant on.
    Open { due: Timestamp },
    /// Carried out.
    Done,
    /// Definitely declined, without effect. For an undo: there was nothing to undo.
    NoEffect,
    /// All attempts are used up, and whether one took effect is unknown.
    Exhausted,
    /// Left out: by its condition, or by hand.
    Skipped,
}

/// What is known of one direction of a step.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct DirectionState {
    pub(crate) progress: Progress,
    pub(crate) request: Bytes,
    /// Attempts that were answered, or cut off by a stopped node.
    pub(crate) attempts: u32,
    /// How many of these count against the limit of attempts.
    pub(crate) counted: u32,
    /// How many of the last ones, one after the other, were not sent or pushed back.
    pub(crate) deferred: u32,
    pub(crate) first_at: Timestamp,
    /// The record that the next attempt follows.
    pub(crate) follows: u64,
    /// An attempt may have landed although no answer says so.
    pub(crate) may_have_landed: bool,
    pub(crate) stuck: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct StepState {
    pub(crate) call: DirectionState,
    pub(crate) undo: DirectionState,
    pub(crate) response: Option<Bytes>,
    pub(crate) undo_response: Option<Bytes>,
    /// What `undo` holds is a lookup, by which the undo itself is made then.
    pub(crate) looks_up: bool,
    /// What the lookup found.
    pub(crate) found: Option<Bytes>,
    pub(crate) reason: Option<Reason>,
}

/// An attempt that may be under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The step.
    pub step: StepId,
    /// Forward, or undo.
    pub direction: Direction,
    /// Which attempt of this direction it is, from 1.
    pub number: u32,
    /// The record that it follows, as in [`Command::Call`](crate::Command::Call).
    pub follows: u64,
    /// When it fell due, or the last record was made, whichever is later.
    pub since: Timestamp,
}

impl DirectionState {
    /// When the attempt fell due that may have begun by `at`, where there is one.
    pub(crate) fn begun_by(&self, state: &SagaState, at: Timestamp) -> Option<Timestamp> {
        match self.progress {
            Progress::Open { due } if !self.stuck => {
                may_have_begun(state, due, at, false).then_some(due)
            }
            _ => None,
        }
    }

    /// Whether attempts were made, and none has reached the participant.
    pub(crate) fn was_never_sent(&self) -> bool {
        let unsettled = matches!(self.progress, Progress::Open { .. } | Progress::Exhausted);
        unsettled && self.attempts > 0 && !self.may_have_landed
    }
}

impl StepState {
    /// Settled going forward: what waits for it may begin.
    pub(crate) fn is_passed(&self) -> bool {
        matches!(self.call.progress, Progress::Done | Progress::Skipped)
    }

    /// Whether it left, or may have left, an effect that an undo must take back.
    pub(crate) fn needs_undo(&self) -> bool {
        let landed = match self.call.progress {
            Progress::Done | Progress::Open { .. } => true,
            Progress::Exhausted => !self.call.was_never_sent(),
            Progress::NoEffect | Progress::Idle | Progress::Skipped => self.call.may_have_landed,
        };
        landed
            && !matches!(
                self.undo.progress,
                Progress::Done | Progress::NoEffect | Progress::Skipped
            )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Paused,
    Attention,
}

/// A saga's state. Made by [`apply()`](crate::apply()) alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SagaState {
    pub(crate) next_seq: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) rules: TimeRules,
    pub(crate) steps: Vec<StepState>,
    pub(crate) cause: Option<Cause>,
    /// When the saga turned back, where it did.
    pub(crate) turned_back_at: Timestamp,
    pub(crate) hold: Option<(Hold, Cause)>,
    /// When it was held last: an attempt that fell due later has not begun.
    pub(crate) held_at: Timestamp,
    /// Its undoing has needed a person, or one has done a part of it by hand.
    pub(crate) undo_needed_person: bool,
    pub(crate) ended: Option<Status>,
    pub(crate) resolution: Option<Cause>,
    pub(crate) reply: Option<Bytes>,
}

impl SagaState {
    /// The state before the first record.
    #[must_use]
    pub fn new(definition: &Definition) -> Self {
        Self {
            next_seq: 0,
            started_at: Timestamp(0),
            updated_at: Timestamp(0),
            deadline: Timestamp(u64::MAX),
            rules: TimeRules::default(),
            steps: vec![StepState::default(); definition.steps().len()],
            cause: None,
            turned_back_at: Timestamp(0),
            hold: None,
            held_at: Timestamp(0),
            undo_needed_person: false,
            ended: None,
            resolution: None,
            reply: None,
        }
    }

    /// Where the saga stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match (self.ended, &self.hold) {
            (Some(ended), _) => ended,
            (None, Some((Hold::Paused, _))) => Status::Paused,
            (None, Some((Hold::Attention, _))) => Status::Attention,
            (None, None) if self.cause.is_some() => Status::Compensating,
            (None, None) => Status::Running,
        }
    }

    /// Whether nothing will happen any more.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// The attempts that may be under way at `at`, as far as the records tell: what a node that takes the saga up then finds
    /// interrupted.
    pub fn under_way(&self, at: Timestamp) -> impl Iterator<Item = UnderWay> {
        let at = at.max(self.updated_at);
        let steps = (0..).map(StepId).zip(&self.steps);
        steps.flat_map(move |(id, step)| {
            let directions = [(Direction::Forward, &step.call), (Direction::Undo, &step.undo)];
            directions.into_iter().filter_map(move |(direction, attempt)| {
                let due = attempt.begun_by(self, at)?;
                let since = due.max(self.updated_at);
                let number = attempt.attempts + 1;
                Some(UnderWay { step: id, direction, number, follows: attempt.follows, since })
            })
        })
    }

    /// The next record's sequence number.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// When the saga turns back at the latest.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// When it was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When its last record was made.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// Why it turned back, where it did.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// Whether it turned back and its undoing has needed a person since, or one has done a part of it by hand.
    #[must_use]
    pub fn undo_needed_person(&self) -> bool {
        self.undo_needed_person
    }

    /// Why it was closed by a person, is held, or turned back: whichever comes first.
    #[must_use]
    pub fn why(&self) -> Option<&Cause> {
        let held = self.hold.as_ref().map(|(_, cause)| cause);
        self.resolution.as_ref().or(held).or(self.cause.as_ref())
    }

    /// The response of a step that is done.
    #[must_use]
    pub fn response(&self, step: StepId) -> Option<&Bytes> {
        self.steps.get(step.index())?.response.as_ref()
    }

    /// The response of an undo that is done.
    #[must_use]
    pub fn undo_response(&self, step: StepId) -> Option<&Bytes> {
        self.steps.get(step.index())?.undo_response.as_ref()
    }

    /// What a step sends in this direction, once that has begun.
    #[must_use]
    pub fn request(&self, step: StepId, direction: Direction) -> Option<&Bytes> {
        let sent = self.direction(step, direction)?;
        let has_begun = !matches!(sent.progress, Progress::Idle | Progress::Skipped)
            || sent.attempts > 0
            || !sent.request.is_empty();
        has_begun.then_some(&sent.request)
    }

    /// Attempts of a step in this direction that were answered, or cut off by a stopped node.
    #[must_use]
    pub fn attempts(&self, step: StepId, direction: Direction) -> u32 {
        self.direction(step, direction).map_or(0, |made| made.attempts)
    }

    /// Whether an attempt of a step in this direction is due, now or later, without a person's help.
    #[must_use]
    pub fn is_tried_again(&self, step: StepId, direction: Direction) -> bool {
        let tried = self.direction(step, direction);
        tried.is_some_and(|tried| matches!(tried.progress, Progress::Open { .. }) && !tried.stuck)
    }

    /// What a lookup found of a step whose response never came.
    #[must_use]
    pub fn found(&self, step: StepId) -> Option<&Bytes> {
        self.steps.get(step.index())?.found.as_ref()
    }

    /// Whether the undo that is to be under way for a step is a lookup still.
    #[must_use]
    pub fn looks_up(&self, step: StepId) -> bool {
        self.steps.get(step.index()).is_some_and(|step| step.looks_up)
    }

    /// The reply of a saga that succeeded.
    #[must_use]
    pub fn reply(&self) -> Option<&Bytes> {
        self.reply.as_ref()
    }

    /// Whether the saga can only go forward: its pivot is done or skipped, and so is all before it. An operator may
    /// skip the pivot ahead of its turn.
    #[must_use]
    pub fn pivot_passed(&self, definition: &Definition) -> bool {
        definition.pivot().is_some_and(|pivot| {
            let mut before = definition.graph().ancestors(pivot).iter();
            self.at(pivot).is_passed() && before.all(|step| self.at(*step).is_passed())
        })
    }

    /// Whether the saga goes forward, and its deadline or an operator can turn it back at `now`.
    #[must_use]
    pub fn can_turn_back(&self, definition: &Definition, now: Timestamp) -> bool {
        self.cause.is_none() && !only_goes_forward(definition, self, now)
    }

    /// Whether the saga turns back at its deadline unless the pivot's call, where that has no undo, is sent before.
    #[must_use]
    pub fn deadline_holds(&self, definition: &Definition) -> bool {
        // Before every instant, nothing is under way.
        self.can_turn_back(definition, Timestamp(0))
    }

    /// When the last attempt of a call begins as long as the saga can be turned back: what is left until its deadline then is
    /// for undoing.
    pub(crate) fn calls_until(&self, definition: &Definition) -> Option<Timestamp> {
        match self.rules {
            TimeRules::V1 => None,
            TimeRules::V2 => Some(self.deadline.before(definition.time_to_undo())),
        }
    }

    pub(crate) fn at(&self, step: StepId) -> &StepState {
        &self.steps[step.index()]
    }

    fn direction(&self, step: StepId, direction: Direction) -> Option<&DirectionState> {
        let step = self.steps.get(step.index())?;
        Some(match direction {
            Direction::Forward => &step.call,
            Direction::Undo => &step.undo,
        })
    }

    pub(crate) fn is_outcome_reached(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Succeeded => {
                self.cause.is_none() && self.steps.iter().all(StepState::is_passed)
            }
            Outcome::Compensated => self.cause.is_some(),
        }
    }

    /// A step, as it is shown.
    #[must_use]
    pub fn step(&self, id: StepId) -> StepView<'_> {
        let step = self.at(id);
        let under_way = |attempt: &DirectionState| match attempt.progress {
            Progress::Open { .. } if !attempt.stuck => attempt.attempts + 1,
            _ => attempt.attempts,
        };
        let waiting = |attempt: &DirectionState| match attempt.progress {
            Progress::Open { due } if due > self.updated_at => Some(due),
            _ => None,
        };
        StepView {
            status: self.step_status(step),
            attempts: under_way(&step.call),
            undo_attempts: under_way(&step.undo),
            reason: step.reason.as_ref(),
            due: if self.cause.is_some() { waiting(&step.undo) } else { waiting(&step.call) },
        }
    }

    fn step_status(&self, step: &StepState) -> StepStatus {
        if (step.call.stuck || step.undo.stuck) && self.hold.is_some() {
            return StepStatus::Stuck;
        }
        match (&step.undo.progress, &step.call.progress) {
            (Progress::Open { .. }, _) => StepStatus::Undoing,
            (Progress::Done | Progress::NoEffect | Progress::Skipped | Progress::Exhausted, _) => {
                StepStatus::Undone
            }
            (Progress::Idle, Progress::Idle) => StepStatus::Pending,
            (Progress::Idle, Progress::Open { .. }) if step.call.attempts == 0 => {
                StepStatus::Running
            }
            (Progress::Idle, _) if step.call.was_never_sent() => StepStatus::NotSent,
            (Progress::Idle, Progress::Open { .. } | Progress::Exhausted) => StepStatus::Unknown,
            (Progress::Idle, Progress::Done) => StepStatus::Done,
            (Progress::Idle, Progress::NoEffect) => StepStatus::Declined,
            (Progress::Idle, Progress::Skipped) => StepStatus::Skipped,
        }
    }
}
