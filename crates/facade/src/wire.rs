//! What every service's translation between domain and wire shares.

use std::{any::Any, error::Error};

use clock::Timestamp;

/// An instant as messages carry it.
#[must_use]
pub fn instant(at: Timestamp) -> prost_types::Timestamp {
    let Timestamp(ms) = at;
    prost_types::Timestamp {
        seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or_default(),
    }
}

/// An error with all that caused it, in one line. `Display` never repeats its source here, so the whole story is only
/// told by the chain.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
