//! What a record makes of a saga's state.

use crate::{
    answer::{Answer, Reason},
    definition::{Definition, StepId},
    event::{Cause, Event, Outcome, Record},
    instants::{Correction, not_counted},
    legal::{IllegalEvent, check},
    retry::Jitter,
    schedule::Budget,
    standing::{is_blocked, may_have_begun},
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
        Event::Started { deadline, rules } => {
            state.started_at = at;
            state.deadline = *deadline;
            state.rules = *rules;
        }
        Event::Skipped { step } => state.steps[step.index()].call.progress = Progress::Skipped,
        Event::CallIntended { step, request } => {
            begin_attempts(&mut state.steps[step.index()].call, request, record.seq, at)
        }
        Event::UndoIntended { step, request } => {
            begin_attempts(&mut state.steps[step.index()].undo, request, record.seq, at)
        }
        Event::LookupIntended { step, request } => {
            // A call that was not answered may be under way: what it leaves is found when its time is over.
            let over = at.after(definition.step(*step).timeout);
            let step = &mut state.steps[step.index()];
            begin_attempts(&mut step.undo, request, record.seq, over);
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
            undo_answered(state, definition, *step, answer, *jitter, at);
            if let Answer::Done { response } = answer {
                state.steps[step.index()].undo_response = Some(response.clone());
            }
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
            needs_person(state);
            if let Some(step) = step {
                let stuck = &mut state.steps[step.index()];
                stuck.reason = Some(reason.clone());
                match state.cause {
                    None => stuck.call.stuck = true,
                    Some(_) => stuck.undo.stuck = true,
                }
            }
        }
        Event::Recovered { .. } => recovered(state, definition, at),
        Event::Woken { .. } => Correction::of(state, definition, at).apply(state, at),
        Event::Paused { reason } => {
            state.hold = Some((Hold::Paused, by_hand(Reason::PAUSED_BY_OPERATOR, reason)));
            state.held_at = at;
        }
        Event::Resumed { .. } => release_hold(state, at),
        Event::Retried { .. } => retried(state, at),
        Event::SkippedByHand { step, reason } => skipped_by_hand(state, *step, reason, at),
        Event::Resolved { reason } => {
            needs_person(state);
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

/// A saga that undoes, if it does, has come to need a person for it.
fn needs_person(state: &mut SagaState) {
    state.undo_needed_person |= state.cause.is_some();
}

/// What an operator says of the saga as a whole.
fn by_hand(code: &str, reason: &str) -> Cause {
    Cause { step: None, reason: Reason::new(code, reason) }
}

fn begin_attempts(
    attempt: &mut DirectionState,
    request: &bytes::Bytes,
    intent: u64,
    at: Timestamp,
) {
    attempt.progress = Progress::Open { due: at };
    attempt.request = request.clone();
    attempt.first_at = at;
    attempt.follows = intent;
}

fn turn_back(state: &mut SagaState, cause: Cause, at: Timestamp) {
    let mut steps = std::mem::take(&mut state.steps);
    for (id, step) in (0..).map(StepId).zip(&mut steps) {
        if let Progress::Open { due } = step.call.progress {
            // No further attempt is made of a call that waits for its next one, or for a person; nor of one that is given up,
            // as a saga can be turned back for its budget that was started when calls had a smaller one.
            let is_given_up = cause.step == Some(id);
            if is_given_up || step.call.stuck || !may_have_begun(state, due, at, true) {
                step.call.progress = Progress::Exhausted;
            }
        }
        step.call.stuck = false;
    }
    state.steps = steps;
    state.cause = Some(cause);
    state.turned_back_at = at;
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
    let (rules, pivot_passed) = (definition.step(id), state.pivot_passed(definition));
    let backward = state.cause.is_some();
    let until = state.calls_until(definition);
    let (time_rules, seq) = (state.rules, state.next_seq);
    let step = &mut state.steps[id.index()];
    step.call.attempts += 1;
    step.call.follows = seq;
    step.call.stuck = false;
    step.reason = answer.reason().cloned();
    step.call.may_have_landed |=
        matches!(answer, Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::Unusable(_));
    match answer {
        Answer::Done { response } => {
            step.call.progress = Progress::Done;
            step.response = Some(response.clone());
        }
        // Behind the pivot there is no way back: a person must look.
        Answer::Declined(_) if pivot_passed => mark_stuck(&mut step.call, at),
        Answer::Declined(_) | Answer::NothingToUndo => step.call.progress = Progress::NoEffect,
        Answer::Unknown(_)
        | Answer::PushedBack { .. }
        | Answer::NotSent(_)
        | Answer::Unusable(_)
            if backward =>
        {
            step.call.progress = Progress::Exhausted;
        }
        Answer::Unusable(_) => mark_stuck(&mut step.call, at),
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::NotSent(_) => {
            let in_doubt = rules.pivot && !rules.undo && step.call.may_have_landed;
            let no_way_back = pivot_passed || in_doubt;
            let until = until.filter(|_| !no_way_back);
            let budget = Budget { policy: &rules.retry, until, rules: time_rules };
            let (due, spent) = budget.spend(&mut step.call, answer, jitter, at);
            match (spent, no_way_back) {
                (false, _) => step.call.progress = Progress::Open { due },
                (true, false) => step.call.progress = Progress::Exhausted,
                (true, true) => mark_stuck(&mut step.call, at),
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
    let (policy, rules, seq) = (&definition.step(id).undo_retry, state.rules, state.next_seq);
    let step = &mut state.steps[id.index()];
    step.undo.attempts += 1;
    step.undo.follows = seq;
    if let Some(reason) = answer.reason() {
        step.reason = Some(reason.clone());
    }
    match answer {
        Answer::Done { .. } => step.undo.progress = Progress::Done,
        Answer::NothingToUndo => step.undo.progress = Progress::NoEffect,
        Answer::Declined(_) | Answer::Unusable(_) => mark_stuck(&mut step.undo, at),
        Answer::Unknown(_) | Answer::PushedBack { .. } | Answer::NotSent(_) => {
            let budget = Budget { policy, until: None, rules };
            match budget.spend(&mut step.undo, answer, jitter, at) {
                (due, false) => step.undo.progress = Progress::Open { due },
                (_, true) => mark_stuck(&mut step.undo, at),
            }
        }
    }
}

fn mark_stuck(attempt: &mut DirectionState, at: Timestamp) {
    attempt.progress = Progress::Open { due: at };
    attempt.stuck = true;
}

/// What was under way when the node stopped may have landed. It is due at once.
fn recovered(state: &mut SagaState, definition: &Definition, at: Timestamp) {
    let correction = Correction::of(state, definition, at);
    let backward = state.cause.is_some();
    // What was due by the last record was under way, even when this node's clock is behind that of the last one.
    let by = at.max(state.updated_at);
    let mut steps = std::mem::take(&mut state.steps);
    for StepState { call, undo, reason, .. } in &mut steps {
        for attempt in [call, undo] {
            if !matches!(attempt.progress, Progress::Open { .. }) {
                continue;
            }
            attempt.may_have_landed = true;
            // Also where none is thought to have begun: the clock may say so of one that has.
            attempt.follows = state.next_seq;
            if attempt.begun_by(state, by).is_some() {
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
    correction.apply(state, at);
}

/// Lets a held saga go on. The time that it was blocked counts neither towards its deadline nor as age.
fn release_hold(state: &mut SagaState, at: Timestamp) {
    let was_blocked = is_blocked(state);
    state.hold = None;
    if !was_blocked {
        return;
    }
    not_counted(state, at.since(state.held_at));
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
                attempt.deferred = 0;
                attempt.first_at = at;
            }
        }
    }
}

fn skipped_by_hand(state: &mut SagaState, id: StepId, reason: &str, at: Timestamp) {
    let backward = state.cause.is_some();
    needs_person(state);
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
