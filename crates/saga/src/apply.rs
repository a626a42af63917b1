//! What a record makes of a saga's state.

use planted::Bug;

use crate::{
    answer::{Answer, Reason},
    definition::{Definition, StepId},
    event::{Cause, Event, Outcome, Record},
    legal::{IllegalEvent, check},
    retry::{Attempts, Jitter, Retry},
    standing::{may_have_begun, only_goes_forward, stands_still},
    state::{Hold, Leg, SagaState, Status, StepState, Try},
    timestamp::Timestamp,
};

/// Applies a record.
///
/// # Errors
/// [`IllegalEvent`] says in a sentence why the record does not fit; the state is as it was then.
pub fn apply(
    state: &mut SagaState,
    definition: &Definition,
    record: &Record,
) -> Result<(), IllegalEvent> {
    check(state, definition, record)?;
    change(state, definition, record);
    state.next_seq += 1;
    state.updated_at = record.at;
    Ok(())
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
            turn_back(state, by_hand(Reason::CANCELLED_BY_OPERATOR, reason), at);
        }
        Event::Parked { step, reason } => {
            if state.hold.is_none() {
                let cause = Cause { step: *step, reason: reason.clone() };
                state.hold = Some((Hold::Attention, cause));
                state.held_at = at;
            }
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
            state.hold = Some((Hold::Paused, by_hand(Reason::PAUSED_BY_OPERATOR, reason)));
            state.held_at = at;
        }
        Event::Resumed { .. } => let_go(state, at),
        Event::Retried { .. } => retried(state, at),
        Event::SkippedByHand { step, reason } => skipped_by_hand(state, *step, reason, at),
        Event::Resolved { reason } => {
            state.hold = None;
            state.resolution = Some(by_hand(Reason::RESOLVED_BY_OPERATOR, reason));
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

/// What an operator says of the saga as a whole.
fn by_hand(code: &str, reason: &str) -> Cause {
    Cause { step: None, reason: Reason::new(code, reason) }
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
    attempt.leg = Leg::Open { due: due.min(last) };
}

fn is_spent(attempt: &Try, policy: &Retry) -> bool {
    match policy.attempts {
        Attempts::Limited(limit) => {
            attempt.counted >= limit.get() && !planted::is(Bug::BudgetNeverSpent)
        }
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

/// Lets a held saga go on. The time that it stood still counts neither towards its deadline nor as age.
fn let_go(state: &mut SagaState, at: Timestamp) {
    let stood_still = stands_still(state);
    state.hold = None;
    if !stood_still {
        return;
    }
    let held = at.since(state.held_at);
    state.deadline = state.deadline.after(held);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            attempt.first_at = attempt.first_at.after(held);
        }
    }
}

fn retried(state: &mut SagaState, at: Timestamp) {
    let_go(state, at);
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

fn skipped_by_hand(state: &mut SagaState, id: StepId, reason: &str, at: Timestamp) {
    let backward = state.cause.is_some();
    let step = &mut state.steps[id.index()];
    step.reason = Some(Reason::new(Reason::SKIPPED_BY_OPERATOR, reason));
    let attempt = if backward { &mut step.undo } else { &mut step.call };
    // A call that may have landed stays so: should the saga turn back, it is undone like every step that started.
    attempt.leg = Leg::Skipped;
    attempt.stuck = false;
    if !matches!(state.hold, Some((Hold::Attention, _))) {
        return;
    }
    let stuck = (0..).zip(&state.steps).find(|(_, step)| step.call.stuck || step.undo.stuck);
    match stuck {
        None => let_go(state, at),
        // What the saga still needs a person for.
        Some((number, StepState { reason: Some(reason), .. })) => {
            let cause = Cause { step: Some(StepId(number)), reason: reason.clone() };
            state.hold = Some((Hold::Attention, cause));
        }
        Some(_) => {}
    }
}
