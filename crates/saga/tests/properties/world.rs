//! The participants, as simply as can be: which effects hold, and what may not happen to them.

use std::collections::BTreeSet;

use saga::{Definition, StepId};

#[derive(Default)]
pub(crate) struct World {
    /// Effects that hold.
    pub(crate) effects: BTreeSet<StepId>,
    /// Calls that were sent at least once.
    pub(crate) called: BTreeSet<StepId>,
    /// Steps of which an attempt may have reached the participant, by what the engine was told.
    pub(crate) sent: BTreeSet<StepId>,
    /// Undos that took effect: a call that comes later is refused.
    pub(crate) undone: BTreeSet<StepId>,
}

impl World {
    /// The call reaches its participant and lands.
    pub(crate) fn land(&mut self, step: StepId) -> bool {
        if self.undone.contains(&step) {
            return false;
        }
        self.effects.insert(step)
    }

    pub(crate) fn undo(&mut self, step: StepId) {
        self.effects.remove(&step);
        self.undone.insert(step);
    }

    /// All that comes after `step`, has an undo and was called, must be out of the way first.
    pub(crate) fn assert_may_be_undone(&self, definition: &Definition, step: StepId) {
        for later in
            definition.ids().filter(|later| definition.graph().ancestors(*later).contains(&step))
        {
            let holds = definition.step(later).undo && self.effects.contains(&later);
            assert!(!holds, "{step:?} is undone while {later:?}, which came after it, still holds");
        }
    }
}
