//! What a node measures of its sagas.
//!
//! What happens is counted when it is on disk, and follows from the records alone (`marks`), so it can be counted again
//! from the journals. Where sagas stand is told from the store (`standing`): it is the same on every node and after a
//! restart. What the node itself holds is read when it is scraped (`node`).
//!
//! Definitions and steps are those of registered definitions, and reasons those of the registry: no label is without a
//! bound. Nothing has the label of a node, since a node's id is a fresh one at each start.

mod definition;
mod families;
mod limits;
mod marks;
mod node;
mod sagas;
mod standing;

pub(crate) use self::{
    definition::{AttemptTimes, DefinitionMetrics},
    limits::Refusals,
    marks::Marks,
    node::{observe_definitions, observe_driver, observe_watchers},
    sagas::{Action, ActionResult, SagaMetrics},
    standing::StandingGauges,
};

pub use self::limits::Limit;

use proto::facade::v1::Reason;

/// The label of a reason that is not registered.
const OTHER_REASON: &str = "OTHER";

/// The label of a reason's code.
fn reason_label(code: &str) -> &'static str {
    Reason::from_code(code).map_or(OTHER_REASON, Reason::code)
}
