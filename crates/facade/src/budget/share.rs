//! What a connection takes of the event loop: it gives way after so many bytes, and pauses for calls that came to nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many bytes are read of one connection before others have their turn. What comes faster than it can be worked on would
/// otherwise be read to its end each time: a hundred thousand frames of 17 bytes.
const BYTES_PER_TURN: usize = 8 * 1024;

/// After how many calls of a connection that came to nothing it is not read from for a while, and how long for each of them:
/// thousands of such calls in a second leave others most of the processor. Where several connections pause at once each
/// does so for as much longer, so that it does not pay to open more of them.
const FUTILE_CALLS: usize = 64;
const PAUSE_FOR_EACH: Duration = Duration::from_micros(125);

/// How many connections of the process pause.
pub(super) type Pausing = Arc<AtomicUsize>;

/// The share of one connection.
#[derive(Debug)]
pub(crate) struct LoopShare {
    /// Bytes that were read in this turn.
    read: AtomicUsize,
    /// Calls that came to nothing, since the connection last paused for them.
    futile: AtomicUsize,
    pausing: Pausing,
}

impl LoopShare {
    pub(super) fn beside(pausing: &Pausing) -> Self {
        let (read, futile) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { read, futile, pausing: Arc::clone(pausing) }
    }

    /// The connection's task has its turn: it is polled. It may poll its socket many times in one turn.
    pub(crate) fn begin_turn(&self) {
        self.read.store(0, Ordering::Relaxed);
    }

    /// Whether more may be read in this turn.
    pub(crate) fn may_read(&self) -> bool {
        self.read.load(Ordering::Relaxed) < BYTES_PER_TURN
    }

    /// So many bytes were read.
    pub(crate) fn has_read(&self, bytes: usize) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A call of the connection came to nothing: it was refused, or taken back before it was answered.
    pub(crate) fn count_futile_call(&self) {
        self.futile.fetch_add(1, Ordering::Relaxed);
    }

    /// The pause that the connection owes for such calls, once there are many of them.
    pub(crate) fn pause(&self) -> Option<Pause> {
        if self.futile.load(Ordering::Relaxed) < FUTILE_CALLS {
            return None;
        }
        let calls = self.futile.swap(0, Ordering::Relaxed);
        let pausing = self.pausing.fetch_add(1, Ordering::Relaxed) + 1;
        let times = u32::try_from(calls.saturating_mul(pausing)).unwrap_or(u32::MAX);
        let length = PAUSE_FOR_EACH.saturating_mul(times);
        Some(Pause { length, pausing: Arc::clone(&self.pausing) })
    }
}

/// A connection counts as one that pauses until this is dropped.
#[derive(Debug)]
pub(crate) struct Pause {
    pub(crate) length: Duration,
    pausing: Pausing,
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.pausing.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_pauses_for_calls_that_came_to_nothing_and_longer_beside_others_that_do() {
        let pausing = Pausing::default();
        let (one, other) = (LoopShare::beside(&pausing), LoopShare::beside(&pausing));
        let fail = |share: &LoopShare| (0..FUTILE_CALLS).for_each(|_| share.count_futile_call());
        (1..FUTILE_CALLS).for_each(|_| one.count_futile_call());
        assert!(one.pause().is_none(), "some calls are refused to everybody");
        one.count_futile_call();
        let first = one.pause().unwrap();
        assert_eq!(first.length, Duration::from_millis(8));
        assert!(one.pause().is_none(), "they are paid for");
        fail(&other);
        assert_eq!(other.pause().unwrap().length, Duration::from_millis(16));
        drop(first);
        fail(&other);
        assert_eq!(other.pause().unwrap().length, Duration::from_millis(8));
    }
}
