//! Whether there is room for an answer: who does not take the answers that there are gets no more of them.

use crate::{Failure, context::Context};

/// # Errors
/// RESOURCE_EXHAUSTED with `RetryInfo` where the connection, or the process, holds as many bytes of answers as it may.
pub(super) fn before(context: &Context) -> Result<(), Failure> {
    context.account().map_or(Ok(()), |account| Ok(account.room_for_responses()?))
}
