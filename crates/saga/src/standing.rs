//! What a state means for its steps: which may begin, which may be undone, and whether there is a way back. Both the
//! table of legal records and the decisions read it here, so they cannot disagree.

use crate::{
    definition::{Definition, StepId},
    state::{Hold, Progress, SagaState},
    timestamp::Timestamp,
};

/// Whether there is no way back: the pivot is passed, or its call has no undo and may have landed, or may be under way at
/// `at`.
pub(crate) fn only_goes_forward(definition: &Definition, state: &SagaState, at: Timestamp) -> bool {
    definition.pivot().is_some_and(|pivot| {
        let call = &state.at(pivot).call;
        let in_doubt = match call.progress {
            Progress::Open { due } => {
                !definition.step(pivot).undo && (call.may_have_landed || due <= at)
            }
            _ => false,
        };
        in_doubt || state.pivot_passed(definition)
    })
}

/// Whether the saga is held so that it begins nothing until a person has acted. One that needs a person for an undo goes on with every other
/// undo that may run: only what the stuck one came after waits for it.
pub(crate) fn is_blocked(state: &SagaState) -> bool {
    match &state.hold {
        None => false,
        Some((Hold::Paused, _)) => true,
        Some((Hold::Attention, _)) => state.cause.is_none(),
    }
}

/// Whether an attempt that fell due at `due` may have begun by `at`: a saga that stands still begins nothing, and one that
/// its deadline turns back begins nothing after it.
pub(crate) fn may_have_begun(
    state: &SagaState,
    due: Timestamp,
    at: Timestamp,
    can_turn_back: bool,
) -> bool {
    let latest = if is_blocked(state) { at.min(state.held_at) } else { at };
    due <= latest && !(can_turn_back && due >= state.deadline)
}

/// Whether all that must come before `step` is done or skipped.
pub(crate) fn is_ready(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    // All ancestors are checked, not the nearest alone: an operator may have skipped these ahead of their turn.
    definition.graph().ancestors(step).iter().all(|earlier| state.at(*earlier).is_passed())
}

/// Whether `step` left something to undo, and all that came after it is out of the way.
pub(crate) fn may_be_undone(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    state.cause.is_some()
        && definition.step(step).undo
        && state.at(step).needs_undo()
        && !matches!(state.at(step).call.progress, Progress::Open { .. })
        && definition
            .ids()
            .filter(|later| definition.graph().ancestors(*later).contains(&step))
            .all(|later| is_unwound(definition, state, later))
}

/// Whether the step has no call under way and nothing left to undo.
fn is_unwound(definition: &Definition, state: &SagaState, step: StepId) -> bool {
    let under_way = matches!(state.at(step).call.progress, Progress::Open { .. });
    let to_undo = definition.step(step).undo && state.at(step).needs_undo();
    !(under_way || to_undo)
}

pub(crate) fn is_all_undone(definition: &Definition, state: &SagaState) -> bool {
    definition.ids().all(|step| is_unwound(definition, state, step))
}
