//! How long the caller waits. [`crate::entry`] answers at the latest then, and the handler is cut off a little earlier.

use proto::facade::v1::Reason;

use super::Head;
use crate::{Failure, context::Context, deadline};

/// # Errors
/// INVALID_ARGUMENT where the header is malformed: a call must not run for ever because of a slip.
pub(super) fn before(head: &Head<'_>, context: &mut Context) -> Result<(), Failure> {
    let read = deadline::read(head.headers);
    context.limit = read.map_err(|what| Failure::new(Reason::InvalidRequest, what))?;
    Ok(())
}
