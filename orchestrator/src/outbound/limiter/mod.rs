//! How many calls a participant is sent at once, how many a second, and whose turn it is.
//!
//! A call that waits here has not been sent: it uses up no attempt and none of its time. It waits as long as its saga does.
//! What is decided is in `gate`; this carries it out.

mod gate;
mod line;
mod pause;
mod rate;
mod signal;
mod slowness;
#[cfg(test)]
mod tests;
mod window;

use std::{
    future::poll_fn,
    hash::{BuildHasher, RandomState},
    num::NonZero,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use clock::{Clock, Timestamp};
use saga::Direction;
use tokio::{runtime::Handle, sync::oneshot};

use self::{
    gate::{Entry, Gate, Next, Signal},
    line::{Caller, Ticket},
};

pub use self::gate::Snapshot;
pub(super) use self::signal::{Timing, signal};

/// How much a participant may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// How many calls are under way at once.
    pub in_flight: NonZero<usize>,
    /// How many begin in a second; as many as there are where there is none.
    pub rate: Option<NonZero<u32>>,
}

impl CallLimits {
    /// How many calls are under way at once where nothing is said.
    pub const IN_FLIGHT: NonZero<usize> = NonZero::new(64).expect("sixty-four is not zero");
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { in_flight: Self::IN_FLIGHT, rate: None }
    }
}

/// Where a call stands that waits in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub position: usize,
    /// What it waits for.
    pub line: Snapshot,
}

/// The limits of one participant.
#[derive(Debug)]
pub(super) enum Limiter {
    /// What is within this process has the process' own limits; its calls are counted.
    Unlimited(AtomicUsize),
    Limited(Arc<Limited>),
}

#[derive(Debug)]
pub(super) struct Limited {
    clock: Clock,
    hashes: RandomState,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    gate: Gate<oneshot::Sender<Entry>>,
    /// When the line is looked at next, if nothing happens before.
    look_at: Option<Timestamp>,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Permit<'l> {
    /// `None` once it has ended.
    limiter: Option<&'l Limiter>,
    /// Where calls are limited.
    entry: Option<Entry>,
}

impl Limiter {
    /// For a participant within this process.
    pub(super) fn unlimited() -> Self {
        Self::Unlimited(AtomicUsize::new(0))
    }

    /// For a participant that may be called so much.
    pub(super) fn new(clock: Clock, limits: CallLimits) -> Self {
        let gate = Gate::new(limits.in_flight, limits.rate, clock.now());
        let state = Mutex::new(State { gate, look_at: None });
        Self::Limited(Arc::new(Limited { clock, hashes: RandomState::new(), state }))
    }

    /// Waits until a call may begin: in the order of the sagas, undos first. Whoever goes away before leaves the line.
    pub(super) async fn enter(
        &self,
        saga_id: &str,
        step: &str,
        direction: Direction,
    ) -> Permit<'_> {
        let entry = match self {
            Self::Unlimited(calls) => {
                calls.fetch_add(1, Ordering::Relaxed);
                None
            }
            Self::Limited(limited) => {
                let entered = limited.state().gate.enter(limited.clock.now());
                Some(match entered {
                    Some(entry) => entry,
                    // Boxed, because most calls begin at once and need no memory for this future.
                    None => Box::pin(limited.wait(limited.caller(saga_id, step, direction))).await,
                })
            }
        };
        Permit { limiter: Some(self), entry }
    }

    /// How many calls are under way or wait.
    pub(super) fn calls(&self) -> usize {
        match self {
            Self::Unlimited(calls) => calls.load(Ordering::Relaxed),
            Self::Limited(limited) => {
                let Snapshot { in_flight, waiting, .. } = limited.snapshot();
                in_flight + waiting
            }
        }
    }

    /// How it stands; `None` where nothing is limited.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        match self {
            Self::Unlimited(_) => None,
            Self::Limited(limited) => Some(limited.snapshot()),
        }
    }

    /// Where a saga's call stands in line, if it does.
    pub(super) fn place(&self, saga_id: &str, step: &str, direction: Direction) -> Option<Place> {
        let Self::Limited(limited) = self else { return None };
        let state = limited.state();
        let ahead = state.gate.ahead_of(limited.caller(saga_id, step, direction))?;
        Some(Place { position: ahead + 1, line: state.gate.snapshot(limited.clock.now()) })
    }
}

impl Limited {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Snapshot {
        self.state().gate.snapshot(self.clock.now())
    }

    fn caller(&self, saga_id: &str, step: &str, direction: Direction) -> Caller {
        Caller { saga: self.hashes.hash_one(saga_id), step: self.hashes.hash_one(step), direction }
    }

    async fn wait(self: &Arc<Self>, caller: Caller) -> Entry {
        let (sender, turn) = oneshot::channel();
        let mut waiting = Waiting { limited: self, ticket: None, turn };
        self.change(|gate, _| waiting.ticket = Some(gate.join(caller, sender)));
        match (&mut waiting.turn).await {
            Ok(entry) => {
                waiting.ticket = None;
                entry
            }
            // The other end stands in the line until the turn comes.
            Err(_) => std::future::pending().await,
        }
    }

    /// Changes the state, and lets begin what may begin by that.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Gate<oneshot::Sender<Entry>>, Timestamp)) {
        let now = self.clock.now();
        let mut state = self.state();
        change(&mut state.gate, now);
        loop {
            match state.gate.next(now) {
                Next::Go(turn, entry) => {
                    // Whoever goes away at this moment waits for the lock to leave the line.
                    if let Err(entry) = turn.send(entry) {
                        state.gate.end(entry, Signal::None, now);
                    }
                }
                Next::At(instant) => {
                    if state.look_at.is_none_or(|look_at| instant < look_at) {
                        state.look_at = self.look_at(instant);
                    }
                    return;
                }
                Next::Idle => return,
            }
        }
    }

    /// Looks at the line again at this instant. Outside of a runtime nothing begins any more.
    fn look_at(self: &Arc<Self>, instant: Timestamp) -> Option<Timestamp> {
        let runtime = Handle::try_current().ok()?;
        let (clock, limited) = (self.clock.clone(), Arc::downgrade(self));
        runtime.spawn(async move {
            clock.sleep_until(instant).await;
            let Some(limited) = limited.upgrade() else { return };
            limited.state().look_at.take_if(|look_at| *look_at == instant);
            limited.change(|_, _| {});
        });
        Some(instant)
    }
}

/// A place in line, which is left when this is dropped.
struct Waiting<'l> {
    limited: &'l Arc<Limited>,
    ticket: Option<Ticket>,
    turn: oneshot::Receiver<Entry>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let turn = &mut self.turn;
        self.limited.change(|gate, now| match turn.try_recv() {
            Ok(entry) => gate.end(entry, Signal::None, now),
            Err(_) => gate.leave(ticket),
        });
    }
}

impl Permit<'_> {
    /// Waits for the call's stream. As long as it does, nobody else is let in.
    pub(super) async fn stream<S>(&mut self, stream: impl Future<Output = S>) -> S {
        let mut stream = pin!(stream);
        poll_fn(|context| {
            let polled = stream.as_mut().poll(context);
            self.has_stream(polled.is_ready());
            polled
        })
        .await
    }

    /// Waits for the answer. Once the call has nothing to do with the participant any more, as that has `moved`, others may
    /// begin in its place, and its end says nothing.
    pub(super) async fn answer<A>(
        &mut self,
        answer: impl Future<Output = A>,
        moved: impl Future<Output = ()>,
    ) -> A {
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = moved => self.release(Signal::None),
        }
        answer.await
    }

    fn has_stream(&mut self, has_stream: bool) {
        let Some(entry) = &mut self.entry else { return };
        let Some(Limiter::Limited(limited)) = self.limiter else { return };
        if entry.is_without_stream() == has_stream {
            limited.change(|gate, now| match has_stream {
                true => gate.has_stream(entry, now),
                false => gate.waits_for_stream(entry),
            });
        }
    }

    /// The call has ended.
    pub(super) fn end(mut self, signal: Signal<'_>) {
        self.release(signal);
    }

    fn release(&mut self, signal: Signal<'_>) {
        match (self.limiter.take(), self.entry) {
            (Some(Limiter::Limited(limited)), Some(entry)) => {
                limited.change(|gate, now| gate.end(entry, signal, now));
            }
            (Some(Limiter::Unlimited(calls)), _) => {
                calls.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.release(Signal::None);
    }
}
