//! A saga's definition as the engine needs it: steps, their order, their budgets. Immutable, and sound by construction.

use std::time::Duration;

use crate::{
    graph::{self, Graph},
    retry::{Retry, RetryFault},
};

/// A step's place in its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u16);

impl StepId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Which of a step's two methods is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The call.
    Forward,
    /// The undo.
    Undo,
}

impl Direction {
    /// The name of the direction in keys and metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Undo => "undo",
        }
    }
}

/// One unit of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `[a-z][a-z0-9_]*`.
    pub name: String,
    /// The steps that must be done first; `None`: the one above.
    pub after: Option<Vec<String>>,
    /// Behind this step the saga only goes forward.
    pub pivot: bool,
    /// Whether it can be undone.
    pub undo: bool,
    /// Whether it may be skipped.
    pub conditional: bool,
    /// How long one attempt is waited for.
    pub timeout: Duration,
    /// The call's budget.
    pub retry: Retry,
    /// The undo's budget.
    pub undo_retry: Retry,
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefinitionFault {
    /// There is nothing to do.
    NoSteps,
    /// More than [`Definition::STEPS_MAX`].
    TooManySteps,
    /// No snake_case.
    BadName { step: usize },
    /// The name stands twice.
    DuplicateStep { step: usize },
    /// `after` names no step.
    UnknownAfter { step: usize, name: String },
    /// These steps wait for each other.
    Cycle { steps: Vec<usize> },
    /// A second pivot.
    SeveralPivots { step: usize },
    /// It could not be undone any more.
    UndoBehindPivot { step: usize },
    /// It could fail after the pivot.
    BesidePivot { step: usize },
    /// A budget that cannot be used.
    BadRetry { step: usize, direction: Direction, fault: RetryFault },
}

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    steps: Vec<Step>,
    deadline: Duration,
    graph: Graph,
}

impl Definition {
    /// Steps at most.
    pub const STEPS_MAX: usize = 256;

    /// Checks and keeps a definition.
    ///
    /// # Errors
    /// Every fault.
    pub fn new(steps: Vec<Step>, deadline: Duration) -> Result<Self, Vec<DefinitionFault>> {
        let graph = graph::build(&steps)?;
        Ok(Self { steps, deadline, graph })
    }

    /// The steps, in the order of the file.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// A step.
    #[must_use]
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.index()]
    }

    /// The step of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<StepId> {
        self.ids().find(|id| self.step(*id).name == name)
    }

    /// How long after its start a saga turns back at the latest, before its pivot.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How much of [`Self::deadline`] is left for undoing when the last attempt of a call begins: a tenth, and 10 seconds at
    /// most.
    #[must_use]
    pub fn time_to_undo(&self) -> Duration {
        (self.deadline / 10).min(Duration::from_secs(10))
    }

    /// The order of the steps.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Every step's id.
    pub fn ids(&self) -> impl Iterator<Item = StepId> + use<> {
        (0..).map(StepId).take(self.steps.len())
    }

    /// The pivot, where there is one.
    #[must_use]
    pub fn pivot(&self) -> Option<StepId> {
        self.ids().find(|id| self.step(*id).pivot)
    }
}
