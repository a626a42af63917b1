//! What a record makes of a saga's state, and which records are legal where.

use crate::{
    answer::{Answer, Reason},
    definition::{Definition, StepId},
    event::{Cause, Event, Outcome, Record},
    retry::{Attempts, Jitter, Retry},
    state::{Hold, Leg, SagaState, Status, StepState, Try},
    timestamp::Timestamp,
};

/// A record that does not fit the state: nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IllegalEvent(String);

fn refuse<T>(why: impl Into<String>) -> Result<T, IllegalEvent> {
    Err(IllegalEvent(why.into()))
}

/// Applies a record.
///
/// # Errors
/// [`IllegalEvent`] says in a sentence why the record does not fit.
pub fn apply(
    mut state: SagaState,
    definition: &Definition,
    record: &Record,
) -> Result<SagaState, IllegalEvent> {
    if record.seq != state.next_seq {
        return refuse(format!("record {} cannot follow: {} is next", record.seq, state.next_seq));
    }
    check(&state, definition, record)?;
    change(&mut state, definition, record);
    state.next_seq += 1;
    state.updated_at = record.at;
    Ok(state)
}

/// The table of legal transitions.
fn check(state: &SagaState, definition: &Definition, record: &Record) -> Result<(), IllegalEvent> {
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
        Event::Started { .. } | Event::Recovered { .. } => Ok(()),
        Event::Skipped { step } => rules.may_begin(*step).and_then(|()| rules.conditional(*step)),
        Event::CallIntended { step, .. } => rules.may_begin(*step),
        Event::CallAnswered { step, answer, .. } => rules.call_answered(*step, answer),
        Event::TurnedBack { .. } => rules.not_held().and_then(|()| rules.may_turn_back()),
        Event::UndoIntended { step, .. } => rules.may_undo(*step),
        Event::UndoAnswered { step, .. } => rules.undo_answered(*step),
        Event::Parked { .. } => rules.not_held(),
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

    fn may_turn_back(&self) -> Result<(), IllegalEvent> {
        if self.state.cause.is_some() {
            return refuse("the saga is turning back already");
        }
        if self.state.pivot_passed(self.definition) {
            return refuse("it is too late: the saga is past its pivot and only goes forward");
        }
        if only_goes_forward(self.definition, self.state) {
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
        if self.state.at(step).call.leg != Leg::Idle {
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
        if !matches!(self.state.at(step).call.leg, Leg::Open { .. }) {
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
        self.not_held()?;
        if !may_be_undone(self.definition, self.state, step)
            || self.state.at(step).undo.leg != Leg::Idle
        {
            return refuse(format!("{} is not to be undone now", self.name(step)));
        }
        Ok(())
    }

    fn undo_answered(&self, step: StepId) -> Result<(), IllegalEvent> {
        match self.state.at(step).undo.leg {
            Leg::Open { .. } => Ok(()),
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
        if matches!(self.state.at(step).call.leg, Leg::Open { .. }) && self.state.cause.is_some() {
            return refuse(format!("{name}: its call is under way; wait for its answer"));
        }
        let can_turn_back =
            self.state.cause.is_none() && !only_goes_forward(self.definition, self.state);
        match open.leg {
            Leg::Open { due }
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

/// Whether there is no way back: the pivot is passed, or its call may have landed and has no undo.
pub(crate) fn only_goes_forward(definition: &Definition, state: &SagaState) -> bool {
    definition.pivot().is_some_and(|pivot| {
        let in_doubt =
            !definition.step(pivot).undo && matches!(state.at(pivot).call.leg, Leg::Open { .. });
        in_doubt || state.pivot_passed(definition)
    })
}

/// Whether an attempt that fell due at `due` may have begun by `at`: a held saga begins nothing, and one that its
/// deadline turns back begins nothing after it.
fn may_have_begun(state: &SagaState, due: Timestamp, at: Timestamp, can_turn_back: bool) -> bool {
    let latest = if state.hold.is_some() { at.min(state.held_at) } else { at };
    due <= latest && !(can_turn_back && due >= state.deadline)
}

/// Whether all that must come before `step` is done or skipped.
pub(crate) fn is_ready(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    // All distances: an operator may have skipped the steps right before it ahead of their turn.
    definition.graph().ancestors(step).iter().all(|earlier| state.at(*earlier).is_passed())
}

/// Whether `step` left something to undo, and all that came after it is out of the way.
pub(crate) fn may_be_undone(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    state.cause.is_some()
        && definition.step(step).undo
        && state.at(step).needs_undo()
        && !matches!(state.at(step).call.leg, Leg::Open { .. })
        && definition
            .ids()
            .filter(|later| definition.graph().ancestors(*later).contains(&step))
            .all(|later| is_out_of_the_way(definition, state, later))
}

fn is_out_of_the_way(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    let under_way = matches!(state.at(step).call.leg, Leg::Open { .. });
    let to_undo = definition.step(step).undo && state.at(step).needs_undo();
    !(under_way || to_undo)
}

pub(crate) fn is_all_undone(definition: &Definition, state: &SagaState) -> bool {
    definition.ids().all(|step| is_out_of_the_way(definition, state, step))
}

fn change(state: &mut SagaState, definition: &Definition, record: &Record) {
    let at = record.at;
    match &record.event {
        Event::Started { deadline } => {
            state.started_at = at;
            state.deadline = *deadline;
        }
        Event::Skipped { step } => state.steps[step.index()].call.leg = Leg::Skipped,
        Event::CallIntended { step, request } => {
            open(&mut state.steps[step.index()].call, request, at)
        }
        Event::UndoIntended { step, request } => {
            open(&mut state.steps[step.index()].undo, request, at)
        }
        Event::CallAnswered { step, answer, jitter } => {
            call_answered(state, definition, *step, answer, *jitter, at)
        }
        Event::UndoAnswered { step, answer, jitter } => {
            undo_answered(state, definition, *step, answer, *jitter, at)
        }
        Event::TurnedBack { cause } => turn_back(state, cause.clone(), at),
        Event::Cancelled { reason } => {
            let reason = Reason::new(Reason::CANCELLED_BY_OPERATOR, reason.clone());
            turn_back(state, Cause { step: None, reason }, at);
        }
        Event::Parked { step, reason } => {
            state.hold = Some((Hold::Attention, reason.clone()));
            state.held_at = at;
            if let Some(step) = step {
                let stuck = &mut state.steps[step.index()];
                stuck.reason = Some(reason.clone());
                match state.cause {
                    None => stuck.call.stuck = true,
                    Some(_) => stuck.undo.stuck = true,
                }
            }
        }
        Event::Recovered { .. } => recovered(state, at),
        Event::Paused { reason } => {
            state.hold =
                Some((Hold::Paused, Reason::new(Reason::PAUSED_BY_OPERATOR, reason.clone())));
            state.held_at = at;
        }
        Event::Resumed { .. } => resumed(state, at),
        Event::Retried { .. } => retried(state, at),
        Event::SkippedByHand { step, reason } => skipped_by_hand(state, *step, reason),
        Event::Resolved { reason } => {
            state.hold = None;
            state.resolution = Some(Reason::new("RESOLVED_BY_OPERATOR", reason.clone()));
            state.ended = Some(Status::Resolved);
        }
        Event::Finished { outcome: Outcome::Succeeded, reply } => {
            state.ended = Some(Status::Succeeded);
            state.reply = Some(reply.clone());
        }
        Event::Finished { outcome: Outcome::Compensated, .. } => {
            state.ended = Some(Status::Compensated)
        }
    }
}

fn open(attempt: &mut Try, request: &bytes::Bytes, at: Timestamp) {
    attempt.leg = Leg::Open { due: at };
    attempt.request = request.clone();
    attempt.first_at = at;
}

fn turn_back(state: &mut SagaState, cause: Cause, at: Timestamp) {
    let mut steps = std::mem::take(&mut state.steps);
    for step in &mut steps {
        match step.call.leg {
            // It waits for its next attempt, or for a person: there is no attempt any more.
            Leg::Open { due } if step.call.stuck || !may_have_begun(state, due, at, true) => {
                step.call.leg = Leg::Spent;
            }
            _ => {}
        }
        step.call.stuck = false;
    }
    state.steps = steps;
    state.cause = Some(cause);
    state.turned_at = at;
    state.hold = None;
}

fn call_answered(
    state: &mut SagaState,
    definition: &Definition,
    id: StepId,
    answer: &Answer,
    jitter: Jitter,
    at: Timestamp,
) {
    let pivot_passed = state.pivot_passed(definition);
    // The budget of a step that cannot be taken back any more is only its age.
    let no_way_back = only_goes_forward(definition, state);
    let backward = state.cause.is_some();
    let policy = &definition.step(id).retry;
    let step = &mut state.steps[id.index()];
    step.call.attempts += 1;
    step.reason = answer.reason().cloned();
    match answer {
        Answer::Done { response } => {
            step.call.leg = Leg::Done;
            step.response = Some(response.clone());
        }
        // Behind the pivot there is no way back: a person must look.
        Answer::Declined(_) if pivot_passed => stick(&mut step.call, at),
        Answer::Declined(_) | Answer::NothingToUndo => step.call.leg = Leg::Nothing,
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::Unusable(_) if backward => {
            step.call.may_have_landed = true;
            step.call.leg = Leg::Spent;
        }
        Answer::Unusable(_) => {
            step.call.may_have_landed = true;
            stick(&mut step.call, at);
        }
        Answer::Unknown(_) | Answer::PushedBack { .. } => {
            step.call.may_have_landed = true;
            again(&mut step.call, policy, answer, jitter, at);
            let spent = is_spent(&step.call, policy);
            if is_too_old(&step.call, policy, at) || (spent && !no_way_back) {
                match no_way_back {
                    true => stick(&mut step.call, at),
                    false => step.call.leg = Leg::Spent,
                }
            }
        }
    }
}

fn undo_answered(
    state: &mut SagaState,
    definition: &Definition,
    id: StepId,
    answer: &Answer,
    jitter: Jitter,
    at: Timestamp,
) {
    let policy = &definition.step(id).undo_retry;
    let step = &mut state.steps[id.index()];
    step.undo.attempts += 1;
    if let Some(reason) = answer.reason() {
        step.reason = Some(reason.clone());
    }
    match answer {
        Answer::Done { .. } => step.undo.leg = Leg::Done,
        Answer::NothingToUndo => step.undo.leg = Leg::Nothing,
        Answer::Declined(_) | Answer::Unusable(_) => stick(&mut step.undo, at),
        Answer::Unknown(_) | Answer::PushedBack { .. } => {
            again(&mut step.undo, policy, answer, jitter, at);
            if is_too_old(&step.undo, policy, at) || is_spent(&step.undo, policy) {
                stick(&mut step.undo, at);
            }
        }
    }
}

fn stick(attempt: &mut Try, at: Timestamp) {
    attempt.leg = Leg::Open { due: at };
    attempt.stuck = true;
}

fn again(attempt: &mut Try, policy: &Retry, answer: &Answer, jitter: Jitter, at: Timestamp) {
    let wait = match answer {
        Answer::PushedBack { wait, .. } => *wait,
        _ => {
            attempt.counted += 1;
            policy.backoff(attempt.counted, jitter)
        }
    };
    // At least a millisecond: an attempt that is due at once would not show that it is waiting. Not past the age limit:
    // a participant may ask to be left alone for a year, and then a person must learn of it.
    let due = at.after(wait.max(std::time::Duration::from_millis(1)));
    let last = policy.age_limit.map_or(due, |limit| attempt.first_at.after(limit));
    attempt.leg =
        Leg::Open { due: due.min(last.max(at.after(std::time::Duration::from_millis(1)))) };
}

fn is_spent(attempt: &Try, policy: &Retry) -> bool {
    match policy.attempts {
        Attempts::Limited(limit) => attempt.counted >= limit.get(),
        Attempts::Unlimited => false,
    }
}

fn is_too_old(attempt: &Try, policy: &Retry, at: Timestamp) -> bool {
    policy.age_limit.is_some_and(|limit| at.since(attempt.first_at) >= limit)
}

/// What was under way when the node stopped may have landed. It is due at once.
fn recovered(state: &mut SagaState, at: Timestamp) {
    let backward = state.cause.is_some();
    // What was due by the last record was under way, even when this node's clock is behind that of the last one.
    let by = at.max(state.updated_at);
    let mut steps = std::mem::take(&mut state.steps);
    for StepState { call, undo, reason, .. } in &mut steps {
        for attempt in [call, undo] {
            let Leg::Open { due } = attempt.leg else { continue };
            attempt.may_have_landed = true;
            if !attempt.stuck && may_have_begun(state, due, by, false) {
                attempt.attempts += 1;
                attempt.leg = Leg::Open { due: at };
                *reason = Some(Reason::new(
                    Reason::INTERRUPTED,
                    "the node stopped before the answer came",
                ));
            }
        }
    }
    if backward {
        for call in steps.iter_mut().map(|step| &mut step.call) {
            if let Leg::Open { .. } = call.leg {
                call.leg = Leg::Spent;
            }
        }
    }
    state.steps = steps;
}

/// The time that the saga was held does not count as age.
fn resumed(state: &mut SagaState, at: Timestamp) {
    state.hold = None;
    let held = at.since(state.held_at);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            attempt.first_at = attempt.first_at.after(held);
        }
    }
}

fn retried(state: &mut SagaState, at: Timestamp) {
    state.hold = None;
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            // Also of a call that was never made: its request could not be evaluated.
            attempt.stuck = false;
            if let Leg::Open { due } = &mut attempt.leg {
                *due = (*due).min(at);
                attempt.counted = 0;
                attempt.first_at = at;
            }
        }
    }
}

fn skipped_by_hand(state: &mut SagaState, id: StepId, reason: &str) {
    let backward = state.cause.is_some();
    let step = &mut state.steps[id.index()];
    step.reason = Some(Reason::new(Reason::SKIPPED_BY_OPERATOR, reason));
    let attempt = if backward { &mut step.undo } else { &mut step.call };
    // A call that may have landed stays so: should the saga turn back, it is undone like every step that started.
    attempt.leg = Leg::Skipped;
    attempt.stuck = false;
    let stuck = state.steps.iter().any(|step| step.call.stuck || step.undo.stuck);
    if !stuck && matches!(state.hold, Some((Hold::Attention, _))) {
        state.hold = None;
    }
}
