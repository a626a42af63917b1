//! What is to be done, from the state alone: a node that takes a saga up decides what the one before would have.

use crate::{
    answer::Reason,
    command::Command,
    definition::{Definition, Direction, StepId},
    event::{Cause, Event, Outcome},
    standing::{is_all_undone, is_blocked, is_ready, may_be_undone, only_goes_forward},
    state::{DirectionState, Progress, SagaState, StepState},
    timestamp::Timestamp,
};

/// Everything that should be under way, or be recorded, now. Asking twice gives the same answer: the driver leaves out
/// the calls that it is making already.
#[must_use]
pub fn decide(definition: &Definition, state: &SagaState, now: Timestamp) -> Vec<Command> {
    if state.is_ended() || is_blocked(state) || state.next_seq == 0 {
        return Vec::new();
    }
    // Recorded once: another undo that gets stuck later shows in its step's state.
    if state.hold.is_none()
        && let Some(parked) = park(definition, state)
    {
        return vec![Command::Record(parked)];
    }
    match state.cause {
        None => forward(definition, state, now),
        Some(_) => backward(definition, state, now),
    }
}

fn park(definition: &Definition, state: &SagaState) -> Option<Event> {
    let stuck =
        definition.ids().find(|step| state.at(*step).call.stuck || state.at(*step).undo.stuck)?;
    let reason = state
        .at(stuck)
        .reason
        .clone()
        .unwrap_or_else(|| Reason::new("STUCK", "no reason was given"));
    Some(Event::Parked { step: Some(stuck), reason })
}

fn forward(definition: &Definition, state: &SagaState, now: Timestamp) -> Vec<Command> {
    if state.steps.iter().all(StepState::is_passed) {
        return vec![Command::Finish(Outcome::Succeeded)];
    }
    let no_way_back = only_goes_forward(definition, state, now);
    if !no_way_back && let Some(cause) = turn_back_cause(definition, state, now) {
        return vec![Command::Record(Event::TurnedBack { cause })];
    }
    let mut plan = Plan::new(state, now);
    for step in definition.ids() {
        match &state.at(step).call.progress {
            Progress::Idle if is_ready(definition, state, step) => {
                plan.prepare(step, Direction::Forward)
            }
            Progress::Open { due } => {
                plan.attempt(step, Direction::Forward, &state.at(step).call, *due)
            }
            _ => {}
        }
    }
    if !no_way_back {
        plan.wait(state.deadline);
    }
    plan.commands()
}

fn turn_back_cause(definition: &Definition, state: &SagaState, now: Timestamp) -> Option<Cause> {
    const PASSED: &str = "the saga's deadline passed before its pivot";
    let is_late = now >= state.deadline;
    let failed = definition.ids().find(|step| {
        matches!(state.at(*step).call.progress, Progress::NoEffect | Progress::Exhausted)
    });
    let Some(step) = failed else {
        let reason = Reason::new(Reason::DEADLINE_PASSED, PASSED);
        return is_late.then_some(Cause { step: None, reason });
    };
    let call = &state.at(step).call;
    let reason = state.at(step).reason.clone();
    let reason = reason.unwrap_or_else(|| Reason::new("UNKNOWN", "no reason was given"));
    let reason = match call.progress {
        Progress::Exhausted if is_late => {
            Reason::new(Reason::DEADLINE_PASSED, format!("{PASSED}: {reason}"))
        }
        // A call that was last not sent, or pushed back, has that as its reason.
        Progress::Exhausted if call.deferred == 0 => {
            Reason::new(Reason::STEP_UNANSWERED, format!("no definite answer: {reason}"))
        }
        _ => reason,
    };
    Some(Cause { step: Some(step), reason })
}

fn backward(definition: &Definition, state: &SagaState, now: Timestamp) -> Vec<Command> {
    if is_all_undone(definition, state) {
        return vec![Command::Finish(Outcome::Compensated)];
    }
    let mut plan = Plan::new(state, now);
    for step in definition.ids() {
        let known = state.at(step);
        if let Progress::Open { due } = known.call.progress {
            // The call was under way when the saga turned back: its answer tells whether there is something to undo.
            plan.attempt(step, Direction::Forward, &known.call, due);
        } else if !known.undo.stuck && may_be_undone(definition, state, step) {
            match known.undo.progress {
                Progress::Idle => plan.prepare(step, Direction::Undo),
                Progress::Open { due } => plan.attempt(step, Direction::Undo, &known.undo, due),
                _ => {}
            }
        }
    }
    plan.commands()
}

/// The commands of one decision, and when to decide again.
struct Plan {
    now: Timestamp,
    durable: u64,
    commands: Vec<Command>,
    wake: Option<Timestamp>,
}

impl Plan {
    fn new(state: &SagaState, now: Timestamp) -> Self {
        Self { now, durable: state.next_seq - 1, commands: Vec::new(), wake: None }
    }

    fn prepare(&mut self, step: StepId, direction: Direction) {
        self.commands.push(Command::Prepare { step, direction });
    }

    fn attempt(
        &mut self,
        step: StepId,
        direction: Direction,
        known: &DirectionState,
        due: Timestamp,
    ) {
        if due > self.now {
            return self.wait(due);
        }
        self.commands.push(Command::Call {
            step,
            direction,
            attempt: known.attempts + 1,
            request: known.request.clone(),
            durable: self.durable,
            follows: known.follows,
        });
    }

    fn wait(&mut self, instant: Timestamp) {
        self.wake = Some(self.wake.map_or(instant, |earlier| earlier.min(instant)));
    }

    fn commands(mut self) -> Vec<Command> {
        self.commands.extend(self.wake.map(Command::WaitUntil));
        self.commands
    }
}
