//! How many calls may be in flight. What comes beyond is refused at once: more work than there is room for makes every
//! call late, and a refusal is the only answer that costs nothing.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// The calls that are in flight, and their limit.
#[derive(Clone, Debug)]
pub(super) struct Shed(Arc<InFlight>);

/// How many calls are in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    limit: Option<usize>,
    taken: AtomicUsize,
    shed: AtomicU64,
}

impl InFlight {
    /// How many there may be.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// How many there are.
    pub(crate) fn now(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// How many were refused so far.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

/// One call in flight. Dropped, it makes room for another.
pub(super) struct Slot(Arc<InFlight>);

impl Shed {
    pub(super) fn beyond(limit: Option<NonZeroUsize>) -> Self {
        let limit = limit.map(NonZeroUsize::get);
        Self(Arc::new(InFlight { limit, taken: AtomicUsize::new(0), shed: AtomicU64::new(0) }))
    }

    pub(super) fn in_flight(&self) -> &Arc<InFlight> {
        &self.0
    }

    /// # Errors
    /// RESOURCE_EXHAUSTED with `RetryInfo` where there is no room.
    pub(super) fn before(&self, head: &Head<'_>) -> Result<Option<Slot>, Failure> {
        let in_flight = &self.0;
        if NEVER_SHED.iter().any(|service| head.path.as_str().starts_with(service)) {
            return Ok(None);
        }
        let limit = in_flight.limit.unwrap_or(usize::MAX);
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        match in_flight.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Some(Slot(Arc::clone(in_flight)))),
            Err(_) => {
                in_flight.shed.fetch_add(1, Ordering::Relaxed);
                Err(Failure::Overloaded {
                    message: format!(
                        "{limit} calls are in flight, as many as this process takes; nothing was begun"
                    ),
                    retry_after: RETRY_AFTER,
                })
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}
