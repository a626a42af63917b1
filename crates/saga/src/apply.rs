//! What a record makes of a saga's state.

use crate::{
    answer::{Answer, Reason},
    definition::{Definition, StepId},
    event::{Cause, Event, Outcome, Record},
    legal::{IllegalEvent, check},
    retry::{Attempts, Jitter, Retry},
    standing::{is_blocked, may_have_begun, only_goes_forward},
    state::{DirectionState, Hold, Progress, SagaState, Status, StepState},
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
        Event::Skipped { step } => state.steps[step.index()].call.progress = Progress::Skipped,
        Event::CallIntended { step, request } => {
            begin_attempts(&mut state.steps[step.index()].call, request, at)
        }
        Event::UndoIntended { step, request } => {
            begin_attempts(&mut state.steps[step.index()].undo, request, at)
        }
        Event::LookupIntended { step, request } => {
            // A call that was not answered may be under way: what it leaves is found when its time is over.
            let over = at.after(definition.step(*step).timeout);
            let step = &mut state.steps[step.index()];
            begin_attempts(&mut step.undo, request, over);
            step.looks_up = true;
        }
        Event::LookupAnswered { step, answer, jitter } => {
            undo_answered(state, definition, *step, answer, *jitter, at);
            let step = &mut state.steps[step.index()];
            match answer {
                Answer::Done { response } => {
                    step.found = Some(response.clone());
                    step.looks_up = false;
                    step.undo = DirectionState::default();
                }
                Answer::NothingToUndo => step.looks_up = false,
                _ => {}
            }
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
        Event::Resumed { .. } => release_hold(state, at),
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

fn begin_attempts(attempt: &mut DirectionState, request: &bytes::Bytes, at: Timestamp) {
    attempt.progress = Progress::Open { due: at };
    attempt.request = request.clone();
    attempt.first_at = at;
}

fn turn_back(state: &mut SagaState, cause: Cause, at: Timestamp) {
    let mut steps = std::mem::take(&mut state.steps);
    for step in &mut steps {
        match step.call.progress {
            // The call waits for its next attempt, or for a person: no further attempt is made.
            Progress::Open { due } if step.call.stuck || !may_have_begun(state, due, at, true) => {
                step.call.progress = Progress::Exhausted;
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
    // A step that cannot be turned back from is limited by its age alone, not by its attempts.
    let no_way_back = only_goes_forward(definition, state);
    let backward = state.cause.is_some();
    let policy = &definition.step(id).retry;
    let step = &mut state.steps[id.index()];
    step.call.attempts += 1;
    step.reason = answer.reason().cloned();
    match answer {
        Answer::Done { response } => {
            step.call.progress = Progress::Done;
            step.response = Some(response.clone());
        }
        // Behind the pivot there is no way back: a person must look.
        Answer::Declined(_) if pivot_passed => mark_stuck(&mut step.call, at),
        Answer::Declined(_) | Answer::NothingToUndo => step.call.progress = Progress::NoEffect,
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::Unusable(_) if backward => {
            step.call.may_have_landed = true;
            step.call.progress = Progress::Exhausted;
        }
        Answer::NotSent(_) if backward => step.call.progress = Progress::Exhausted,
        Answer::Unusable(_) => {
            step.call.may_have_landed = true;
            mark_stuck(&mut step.call, at);
        }
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::NotSent(_) => {
            step.call.may_have_landed |= !matches!(answer, Answer::NotSent(_));
            schedule_retry(&mut step.call, policy, answer, jitter, at);
            let exhausted = is_exhausted(&step.call, policy);
            if is_too_old(&step.call, policy, at) || (exhausted && !no_way_back) {
                match no_way_back {
                    true => mark_stuck(&mut step.call, at),
                    false => step.call.progress = Progress::Exhausted,
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
        Answer::Done { .. } => step.undo.progress = Progress::Done,
        Answer::NothingToUndo => step.undo.progress = Progress::NoEffect,
        Answer::Declined(_) | Answer::Unusable(_) => mark_stuck(&mut step.undo, at),
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::NotSent(_) => {
            schedule_retry(&mut step.undo, policy, answer, jitter, at);
            if is_too_old(&step.undo, policy, at) || is_exhausted(&step.undo, policy) {
                mark_stuck(&mut step.undo, at);
            }
        }
    }
}

fn mark_stuck(attempt: &mut DirectionState, at: Timestamp) {
    attempt.progress = Progress::Open { due: at };
    attempt.stuck = true;
}

fn schedule_retry(
    attempt: &mut DirectionState,
    policy: &Retry,
    answer: &Answer,
    jitter: Jitter,
    at: Timestamp,
) {
    attempt.deferred = match answer {
        Answer::NotSent(_) => attempt.deferred + 1,
        _ => 0,
    };
    let wait = match answer {
        Answer::PushedBack { wait, .. } => *wait,
        Answer::NotSent(_) => policy.backoff(attempt.deferred, jitter),
        _ => {
            attempt.counted += 1;
            policy.backoff(attempt.counted, jitter)
        }
    };
    // At least a millisecond: an attempt that is due at once would not show that it is waiting. Not past the age limit:
    // a participant may ask to be left alone for a year, and then a person must learn of it.
    let due = at.after(wait.max(std::time::Duration::from_millis(1)));
    let last = policy.age_limit.map_or(due, |limit| attempt.first_at.after(limit));
    attempt.progress = Progress::Open { due: due.min(last) };
}

fn is_exhausted(attempt: &DirectionState, policy: &Retry) -> bool {
    match policy.attempts {
        Attempts::Limited(limit) => attempt.counted >= limit.get(),
        Attempts::Unlimited => false,
    }
}

fn is_too_old(attempt: &DirectionState, policy: &Retry, at: Timestamp) -> bool {
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
            let Progress::Open { due } = attempt.progress else { continue };
            attempt.may_have_landed = true;
            if !attempt.stuck && may_have_begun(state, due, by, false) {
                attempt.attempts += 1;
                attempt.progress = Progress::Open { due: at };
                *reason = Some(Reason::new(
                    Reason::INTERRUPTED,
                    "the node stopped before the answer came",
                ));
            }
        }
    }
    if backward {
        for call in steps.iter_mut().map(|step| &mut step.call) {
            if let Progress::Open { .. } = call.progress {
                call.progress = Progress::Exhausted;
            }
        }
    }
    state.steps = steps;
    set_back(state, at);
}

/// What was still to come as long after the last record comes as long after now, where the clock has been set back since: it
/// may have run ahead by years.
fn set_back(state: &mut SagaState, now: Timestamp) {
    let last = state.updated_at;
    if now >= last {
        return;
    }
    let closer = |instant: Timestamp| match instant > last {
        true => now.after(instant.since(last)),
        false => instant,
    };
    state.deadline = closer(state.deadline);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            attempt.first_at = attempt.first_at.min(now);
            if let Progress::Open { due } = &mut attempt.progress {
                *due = closer(*due);
            }
        }
    }
}

/// Lets a held saga go on. The time that it was blocked counts neither towards its deadline nor as age.
fn release_hold(state: &mut SagaState, at: Timestamp) {
    let was_blocked = is_blocked(state);
    state.hold = None;
    if !was_blocked {
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
    release_hold(state, at);
    for step in &mut state.steps {
        for attempt in [&mut step.call, &mut step.undo] {
            // This holds for a call that was never made too: its request could not be evaluated.
            attempt.stuck = false;
            if let Progress::Open { due } = &mut attempt.progress {
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
    // `may_have_landed` stays as it is: should the saga turn back, the step is undone like every one that started.
    attempt.progress = Progress::Skipped;
    attempt.stuck = false;
    if !matches!(state.hold, Some((Hold::Attention, _))) {
        return;
    }
    let stuck = (0..).zip(&state.steps).find(|(_, step)| step.call.stuck || step.undo.stuck);
    match stuck {
        None => release_hold(state, at),
        // The saga still needs a person for this step.
        Some((number, StepState { reason: Some(reason), .. })) => {
            let cause = Cause { step: Some(StepId(number)), reason: reason.clone() };
            state.hold = Some((Hold::Attention, cause));
        }
        Some(_) => {}
    }
}
