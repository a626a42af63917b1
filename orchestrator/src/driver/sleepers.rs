//! Sagas that are asleep: they wait, with nothing under way, and have given their tasks back. The journal has when each is
//! due; this takes them up then, as many at once as there is room for.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use clock::Timestamp;
use futures::StreamExt;
use tokio::sync::Notify;

use super::{
    Driver,
    recover::{MAX_TAKE_UPS, PAGE_SIZE, TakeUp},
};
use crate::journal::{self, Asleep};

/// How long until sagas are looked for again that had no room.
const ROOM_INTERVAL: Duration = Duration::from_millis(250);
/// How long until sagas are looked for where none is to be due before.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// When the sagas that are asleep are looked at next.
#[derive(Debug)]
pub(super) struct NextLook {
    at: AtomicU64,
    earlier: Notify,
}

impl Default for NextLook {
    fn default() -> Self {
        Self { at: AtomicU64::new(u64::MAX), earlier: Notify::new() }
    }
}

impl NextLook {
    /// A saga fell asleep until then.
    pub(super) fn by(&self, Timestamp(due): Timestamp) {
        if due < self.at.load(Ordering::Relaxed) {
            self.earlier.notify_one();
        }
    }

    /// Whatever falls asleep while they are looked at may have been missed.
    fn begins(&self) {
        self.at.store(u64::MAX, Ordering::Relaxed);
    }

    fn is(&self, Timestamp(at): Timestamp) {
        self.at.store(at, Ordering::Relaxed);
    }
}

impl Driver {
    /// Takes up the sagas that are asleep when they are due, until the driver stops.
    pub(super) async fn wake_sleepers(&self) {
        let mut set_right = false;
        while !self.context.stop.is_cancelled() {
            self.next_look.begins();
            let clock = &self.context.clock;
            let woken = async {
                if !set_right {
                    // Once is enough: the clock of a process only goes forward.
                    self.context.journal.make_due(clock.now()).await?;
                    set_right = true;
                }
                self.wake_due().await
            };
            let next = match woken.await {
                Ok(Woken { next, .. }) => next,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "sagas that are asleep could not be looked for: tried again"
                    );
                    clock.now().after(LOOK_INTERVAL)
                }
            };
            self.next_look.is(next);
            tokio::select! {
                () = self.context.stop.cancelled() => {}
                () = self.next_look.earlier.notified() => {}
                () = clock.sleep_until(next) => {}
            }
        }
    }

    /// Takes up every saga that is asleep and due, as far as there is room.
    pub(super) async fn wake_due(&self) -> Result<Woken, journal::Error> {
        let now = self.context.clock.now();
        let mut woken = Woken { sagas: 0, next: now.after(LOOK_INTERVAL) };
        let mut after = Asleep::default();
        while !self.context.stop.is_cancelled() {
            let crowded = self.context.admission.crowded();
            if crowded.as_ref().is_none_or(|crowded| !crowded.is_empty()) {
                woken.next = woken.next.min(now.after(ROOM_INTERVAL));
            }
            let Some(crowded) = crowded else { break };
            let page = self.context.journal.asleep(&after, &crowded, PAGE_SIZE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            let due = page.iter().take_while(|asleep| asleep.until <= now);
            let due: Vec<Asleep> = due.cloned().collect();
            let not_due = page.get(due.len()).map(|asleep| asleep.until);
            let mut waking = futures::stream::iter(due)
                .map(|asleep| self.wake_one(asleep))
                .buffer_unordered(MAX_TAKE_UPS);
            while let Some(one) = waking.next().await {
                match one {
                    Some(taken_up) => woken.sagas += usize::from(taken_up),
                    None => woken.next = woken.next.min(now.after(ROOM_INTERVAL)),
                }
            }
            if let Some(until) = not_due {
                woken.next = woken.next.min(until);
                break;
            }
        }
        Ok(woken)
    }

    /// Whether it was taken up; `None` where there is no room for it.
    async fn wake_one(&self, Asleep { saga_id, definition, until }: Asleep) -> Option<bool> {
        let permit = self.context.admission.wake(&definition)?;
        let Some(slot) = self.context.live.take(&saga_id) else { return Some(false) };
        let take_up = TakeUp { order: None, permit: Some(permit) };
        let taken_up = self.take_up(slot, &saga_id, take_up).await;
        if taken_up {
            self.context.metrics.dispatched(self.context.clock.now().since(until));
        }
        Some(taken_up)
    }
}

/// What a look at the sagas that are asleep came to.
pub(super) struct Woken {
    /// How many were taken up.
    pub(super) sagas: usize,
    /// When to look again.
    pub(super) next: Timestamp,
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_falls_asleep_until_before_the_next_look_or_during_one_brings_the_next_forward() {
        let next_look = NextLook::default();
        let is_brought_forward = |until| {
            next_look.by(Timestamp(until));
            next_look.earlier.notified().now_or_never().is_some()
        };
        next_look.is(Timestamp(5_000));
        assert!(!is_brought_forward(5_000));
        assert!(is_brought_forward(4_999));
        next_look.begins();
        assert!(is_brought_forward(9_999), "it may have come too late for the look");
    }
}
