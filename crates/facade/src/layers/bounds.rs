//! How much may be in a message: counted in its bytes, before anything is made of them.

use proto::{facade::v1::Reason, rules::Excess};

use crate::{Call, Failure, dispatch::Method};

/// A message of so few bytes is not looked through: however it is filled, decoding it costs little.
const SMALL: usize = 4096;

/// # Errors
/// INVALID_ARGUMENT where a field has more entries than its rule allows; OUT_OF_RANGE where there are too many in all.
pub(super) fn before(call: &Call, method: &Method) -> Result<(), Failure> {
    let (body, max_fields) = (call.body(), call.max_fields());
    if body.len() <= SMALL {
        return Ok(());
    }
    method.bounds.check(body, max_fields).map_err(|excess| match excess {
        Excess::Entries(violation) => Failure::Invalid(vec![violation]),
        Excess::Fields => Failure::new(
            Reason::MessageTooLarge,
            format!(
                "the message has more than {max_fields} fields and entries (limits.requests.max_fields)"
            ),
        ),
    })
}
