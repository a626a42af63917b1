//! The rules that stand at the message's fields in its `.proto`.

use proto::rules::Violation;

use crate::Failure;

/// # Errors
/// INVALID_ARGUMENT with every rule that the message breaks.
pub(super) fn before(violations: Vec<Violation>) -> Result<(), Failure> {
    if violations.is_empty() { Ok(()) } else { Err(Failure::Invalid(violations)) }
}
