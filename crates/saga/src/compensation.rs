//! What undoing a saga came to, for whoever counts it.

use crate::{
    state::{Progress, SagaState, Status},
    timestamp::Timestamp,
};

/// A saga's compensation: from the record that turned the saga back to the one that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compensation {
    /// When the saga turned back.
    pub began_at: Timestamp,
    /// How the compensation ended, once it has.
    pub end: Option<CompensationEnd>,
}

/// How a compensation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompensationEnd {
    /// Every undo was carried out by the saga itself, or there was nothing to undo.
    Succeeded,
    /// A person closed the saga, or did one of its undos by hand.
    Failed,
}

impl SagaState {
    /// The saga's compensation; `None` where the saga has not turned back.
    #[must_use]
    pub fn compensation(&self) -> Option<Compensation> {
        self.cause.as_ref()?;
        let end = self.ended.map(|ended| match ended {
            Status::Compensated if !self.was_undone_by_hand() => CompensationEnd::Succeeded,
            _ => CompensationEnd::Failed,
        });
        Some(Compensation { began_at: self.turned_back_at, end })
    }

    fn was_undone_by_hand(&self) -> bool {
        self.steps.iter().any(|step| step.undo.progress == Progress::Skipped)
    }
}
