//! How many calls may be in flight. What comes beyond is refused at once: more work than there is room for makes every
//! call late, and a refusal is the only answer that costs nothing.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::Head;
use crate::Failure;

/// How long a refused caller should wait before it tries again: calls in flight end within milliseconds where a process is
/// well.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Health and reflection are always answered: whether the process is well matters most when it is overloaded.
const NEVER_SHED: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// The limit, where there is one.
#[derive(Clone, Debug)]
pub(super) struct Shed(Option<Arc<InFlight>>);

#[derive(Debug)]
struct InFlight {
    limit: usize,
    taken: AtomicUsize,
}

/// One call in flight. Dropped, it makes room for another.
pub(super) struct Slot(Arc<InFlight>);

impl Shed {
    pub(super) fn beyond(limit: Option<NonZeroUsize>) -> Self {
        let in_flight =
            |limit: NonZeroUsize| InFlight { limit: limit.get(), taken: AtomicUsize::new(0) };
        Self(limit.map(in_flight).map(Arc::new))
    }

    /// # Errors
    /// RESOURCE_EXHAUSTED with `RetryInfo` where there is no room.
    pub(super) fn before(&self, head: &Head<'_>) -> Result<Option<Slot>, Failure> {
        let Some(in_flight) = &self.0 else { return Ok(None) };
        if NEVER_SHED.iter().any(|service| head.path.as_str().starts_with(service)) {
            return Ok(None);
        }
        let one_more = |taken| (taken < in_flight.limit).then_some(taken + 1);
        match in_flight.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Some(Slot(Arc::clone(in_flight)))),
            Err(_) => Err(Failure::Overloaded {
                message: format!(
                    "{} calls are in flight, as many as this process takes; nothing was begun",
                    in_flight.limit
                ),
                retry_after: RETRY_AFTER,
            }),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
