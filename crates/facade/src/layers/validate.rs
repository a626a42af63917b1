//! The rules that stand at the message's fields in its `.proto`.

use super::RequestMessage;
use crate::Failure;

/// # Errors
/// INVALID_ARGUMENT with every rule that the message breaks.
pub(super) fn before(message: &impl RequestMessage) -> Result<(), Failure> {
    let broken = message.violations();
    if broken.is_empty() { Ok(()) } else { Err(Failure::Invalid(broken)) }
}
