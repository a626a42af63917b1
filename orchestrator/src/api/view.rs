//! Sagas, steps and definitions as the API shows them.

use definition::{Compiled, Problem};
use facade::Trace;
use prost_types::Timestamp;
use proto::saga::v1::{
    Definition, DefinitionProblem, DefinitionState, Saga, SagaState as State, Step, StepState,
};
use saga::{Status, StepId, StepStatus};

use super::{
    in_line::InLine,
    read::{SagaHistory, SagaSnapshot},
    sentence,
};
use crate::{definitions::Unregistered, driver::Driver, journal::IndexRow, registry::Registered};

pub(super) fn timestamp(ms: u64) -> Timestamp {
    facade::wire::instant(clock::Timestamp(ms))
}

pub(super) fn state(status: Status) -> State {
    match status {
        Status::Running => State::Running,
        Status::Compensating => State::Compensating,
        Status::Succeeded => State::Succeeded,
        Status::Compensated => State::Compensated,
        Status::Attention => State::Attention,
        Status::Paused => State::Paused,
        Status::Resolved => State::Resolved,
    }
}

/// The status that the API's state stands for; `None` for one that is unspecified or unknown.
pub(super) fn status(state: i32) -> Option<Status> {
    match State::try_from(state).ok()? {
        State::Unspecified => None,
        State::Running => Some(Status::Running),
        State::Compensating => Some(Status::Compensating),
        State::Succeeded => Some(Status::Succeeded),
        State::Compensated => Some(Status::Compensated),
        State::Attention => Some(Status::Attention),
        State::Paused => Some(Status::Paused),
        State::Resolved => Some(Status::Resolved),
    }
}

fn step_state(status: StepStatus) -> StepState {
    match status {
        StepStatus::Pending => StepState::Pending,
        StepStatus::Running => StepState::Running,
        StepStatus::Done => StepState::Done,
        StepStatus::Declined => StepState::Declined,
        StepStatus::Unknown => StepState::Unknown,
        StepStatus::Skipped => StepState::Skipped,
        StepStatus::Undoing => StepState::Undoing,
        StepStatus::Undone => StepState::Undone,
        StepStatus::Stuck => StepState::Stuck,
        StepStatus::NotSent => StepState::NotSent,
    }
}

/// A saga as the index has it: without steps.
pub(super) fn index_row(index_row: &IndexRow) -> Saga {
    let header = &index_row.header;
    let mut saga = Saga {
        saga_id: header.saga_id.clone(),
        definition: header.definition.clone(),
        version: header.version,
        key: header.key.clone(),
        deadline: Some(timestamp(header.deadline.0)),
        created_at: Some(timestamp(header.created_at.0)),
        updated_at: Some(timestamp(index_row.updated_at.0)),
        definition_hash: header.definition_hash.clone(),
        trace_id: Trace::id_of(&header.trace).to_owned(),
        ..Saga::default()
    };
    saga.set_state(state(index_row.status()));
    let why = index_row.standing.why.as_ref().map(|why| &why.reason);
    if let Some(why) = index_row.aside.as_ref().or(why) {
        saga.reason.clone_from(&why.code);
        saga.message.clone_from(&why.message);
    }
    saga
}

/// A saga as its journal has it: without steps.
fn row(found: &SagaSnapshot) -> Saga {
    let mut saga = index_row(&found.index_row);
    saga.set_state(state(found.status()));
    let Some(history) = &found.history else { return saga };
    saga.updated_at = Some(timestamp(history.replayer.state.updated_at().0));
    saga.deadline = Some(timestamp(history.replayer.state.deadline().0));
    if let (None, Some(reason)) = (&found.index_row.aside, sentence::why(&history.replayer.state)) {
        saga.reason.clone_from(&reason.code);
        saga.message.clone_from(&reason.message);
    }
    saga
}

/// A saga with its steps and what happens next.
pub(super) fn saga(found: &SagaSnapshot, driver: &Driver) -> Saga {
    let (mut saga, in_line) = (row(found), InLine::of(found, driver));
    if let Some(history) = &found.history {
        saga.steps = steps(history, &in_line);
    }
    saga.next = match (&found.index_row.aside, &found.history) {
        (None, Some(history)) => sentence::next(history, &in_line, driver.clock().now()),
        (aside, _) => sentence::next_aside(aside.as_ref(), found.status()),
    };
    saga
}

fn steps(history: &SagaHistory, in_line: &InLine<'_>) -> Vec<Step> {
    let steps = history.definition.engine().steps().iter();
    let steps = steps.zip(0..);
    steps.map(|(rules, index)| step(history, in_line, &rules.name, StepId(index))).collect()
}

fn step(history: &SagaHistory, in_line: &InLine<'_>, name: &str, id: StepId) -> Step {
    let view = history.replayer.state.step(id);
    let reason = view.reason;
    let mut step = Step {
        step: name.to_owned(),
        attempts: view.attempts,
        undo_attempts: view.undo_attempts,
        reason: reason.map(|reason| reason.code.clone()).unwrap_or_default(),
        message: reason.map(|reason| reason.message.clone()).unwrap_or_default(),
        next_attempt_at: view.due.map(|due| timestamp(due.0)),
        ..Step::default()
    };
    if let Some(waiting) = in_line.at(id) {
        // The attempt that is to be made next is counted as begun, and this one was not made.
        let attempts = match view.status {
            StepStatus::Undoing => &mut step.undo_attempts,
            _ => &mut step.attempts,
        };
        *attempts = attempts.saturating_sub(1);
        step.in_line = Some(waiting.message());
    }
    step.set_state(step_state(view.status));
    step
}

pub(super) fn definition(registered: &Registered, with_source: bool) -> Definition {
    let stored = &registered.stored;
    let archived = stored.archived.as_ref();
    let mut definition = Definition {
        input: if with_source { registered.compiled.input_shape() } else { String::new() },
        hash: stored.hash.clone(),
        source: if with_source { stored.source.clone() } else { String::new() },
        registered_at: Some(timestamp(stored.registered_at.0)),
        archived_at: archived.map(|archived| timestamp(archived.at.0)),
        archive_reason: archived.map(|archived| archived.reason.clone()).unwrap_or_default(),
        ..sound(&registered.compiled)
    };
    if registered.is_archived() {
        definition.set_state(DefinitionState::Archived);
    }
    definition
}

/// A sound definition, as if it were registered.
pub(super) fn sound(compiled: &Compiled) -> Definition {
    let served = compiled.serves();
    let mut definition = Definition {
        name: compiled.name().to_owned(),
        version: compiled.version(),
        hash: compiled.hash().to_owned(),
        file: compiled.file().to_owned(),
        served_method: served
            .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
            .unwrap_or_default(),
        ..Definition::default()
    };
    definition.set_state(DefinitionState::Registered);
    definition
}

/// A file whose definition is not registered.
pub(super) fn unregistered(file: &Unregistered) -> Definition {
    Definition {
        next_attempt_at: Some(timestamp(file.next_attempt_at.0)),
        ..refused(&file.file, (&file.name, file.version), file.is_pending, &file.problems)
    }
}

/// A definition that is not registered, and why.
pub(super) fn refused(
    file: &str,
    (name, version): (&str, u32),
    is_pending: bool,
    problems: &[Problem],
) -> Definition {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let problem = |problem: &Problem| DefinitionProblem {
        file: problem.file.clone(),
        line: number(problem.line),
        column: number(problem.column),
        what: problem.what.clone(),
        cure: problem.cure.clone(),
    };
    let mut definition = Definition {
        name: name.to_owned(),
        version,
        file: file.to_owned(),
        problems: problems.iter().map(problem).collect(),
        ..Definition::default()
    };
    definition.set_state(match is_pending {
        true => DefinitionState::Pending,
        false => DefinitionState::Refused,
    });
    definition
}
