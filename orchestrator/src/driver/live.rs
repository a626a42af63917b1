//! The sagas that this process is running, each with the way to its task.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use saga::{Event, IllegalEvent, SagaState, Status, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::journal::{self, Standing};

/// What an operator asks of a running saga.
#[derive(Debug)]
pub(crate) struct OperatorOrder {
    pub(crate) event: Event,
    pub(crate) answer: oneshot::Sender<OrderResult>,
}

/// What an order came to, once it is on disk.
pub(crate) type OrderResult = Result<(), OrderError>;

impl OperatorOrder {
    pub(crate) fn new(event: Event) -> (Self, oneshot::Receiver<OrderResult>) {
        let (answer, answered) = oneshot::channel();
        (Self { event, answer }, answered)
    }
}

/// Why an operator's order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The saga's state does not allow it.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// The saga's journal is as long as people may make it.
    #[error(
        "the saga's journal has {max_records} records (limits.sagas.max_records): it is neither paused nor retried by hand \
         any more; skip the step, cancel the saga or resolve it"
    )]
    TooLong {
        /// The limit.
        max_records: u64,
    },
    /// It could not be recorded; whether it was is told by reading the saga.
    #[error("the order could not be recorded")]
    Journal(#[source] journal::Error),
    /// The task ended before it answered.
    #[error("the saga's task ended before it answered")]
    TaskEnded,
}

/// Where a saga stands on disk.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its state and the reason, as the index has them.
    pub standing: Standing,
    /// The whole state, once it has ended. Before its end, readers replay its journal: to copy the state with each change
    /// would cost more than the few reads do.
    pub end: Option<Arc<SagaState>>,
}

/// The way to a running saga.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Boxed, because the channel reserves room for more orders than most sagas ever get.
    pub(crate) orders: mpsc::Sender<Box<OperatorOrder>>,
    /// The number of its records on disk.
    pub(crate) records: watch::Receiver<u64>,
    /// Changes with the saga's state, not with each record.
    pub(crate) published: watch::Receiver<Published>,
}

impl Handle {
    /// The number of the saga's records on disk, now and as it goes on. Closes when its task ends.
    #[must_use]
    pub fn records(&self) -> watch::Receiver<u64> {
        self.records.clone()
    }

    /// Where the saga stands.
    #[must_use]
    pub fn status(&self) -> Status {
        self.published.borrow().standing.status
    }

    /// Waits until the saga stands as `wanted` says; `None` where its task ended before.
    pub async fn reached(&self, wanted: fn(Status) -> bool) -> Option<Published> {
        let mut published = self.published.clone();
        let reached = published.wait_for(|published| wanted(published.standing.status)).await;
        reached.ok().map(|published| Published::clone(&published))
    }
}

/// Which sagas run here. A saga has at most one task: its slot is taken before the task begins and given up when
/// the task has ended, whatever ended it.
#[derive(Clone, Debug)]
pub(crate) struct LiveSagas {
    sagas: Arc<Mutex<LiveState>>,
    max_waiting: usize,
}

#[derive(Debug, Default)]
struct LiveState {
    slots: HashMap<String, Option<Handle>>,
    /// LiveState that somebody waits for while no task runs them.
    awaited: HashMap<String, watch::Sender<()>>,
    /// The tasks that only wait for an instant, by it.
    waiting: BTreeMap<(Timestamp, String), oneshot::Sender<()>>,
}

/// What somebody finds who wants to do something with a saga.
pub(crate) enum Claim {
    /// No task has it, and nobody else is to run it.
    Free(Slot),
    /// It is being taken up, or its task is ending.
    Taken,
    /// A task runs it.
    Running(Handle),
}

impl LiveSagas {
    /// No saga runs. Of those that only wait, `max_waiting` keep their tasks.
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self { sagas: Arc::default(), max_waiting }
    }

    /// Takes the saga's slot, where nobody has it.
    pub(crate) fn claim(&self, saga_id: &str) -> Claim {
        match self.take(saga_id) {
            Some(slot) => Claim::Free(slot),
            None => self.find(saga_id).map_or(Claim::Taken, Claim::Running),
        }
    }

    /// The saga's task only waits, until `due`, from now on. Where too many do, those that wait longest are told to give
    /// their tasks back.
    pub(crate) fn wait(&self, saga_id: &str, due: Timestamp) -> Waiting {
        let (give_back, told) = oneshot::channel();
        let place = (due, saga_id.to_owned());
        let mut sagas = self.sagas();
        sagas.waiting.insert(place.clone(), give_back);
        if sagas.waiting.len() > self.max_waiting
            && let Some((_, give_back)) = sagas.waiting.pop_last()
        {
            // Its task has something to do after all where nobody listens.
            let _ = give_back.send(());
        }
        Waiting { live: self.clone(), place, told }
    }

    /// Takes the saga's slot; `None` when somebody has it.
    pub(crate) fn take(&self, saga_id: &str) -> Option<Slot> {
        let mut sagas = self.sagas();
        if sagas.slots.contains_key(saga_id) {
            return None;
        }
        sagas.slots.insert(saga_id.to_owned(), None);
        Some(Slot { live: self.clone(), saga_id: saga_id.to_owned() })
    }

    /// The way to the saga's task, where it runs here.
    pub(crate) fn find(&self, saga_id: &str) -> Option<Handle> {
        self.sagas().slots.get(saga_id).cloned().flatten()
    }

    pub(crate) fn count(&self) -> usize {
        self.sagas().slots.len()
    }

    /// How many of them only wait for an instant.
    pub(crate) fn waiting(&self) -> usize {
        self.sagas().waiting.len()
    }

    /// Notifies of the changes from now on that the saga's task, where it has one, does not publish.
    pub(crate) fn changes(&self, saga_id: &str) -> Changes {
        let mut sagas = self.sagas();
        let sender =
            sagas.awaited.entry(saga_id.to_owned()).or_insert_with(|| watch::Sender::new(()));
        Changes { seen: sender.subscribe(), live: self.clone(), saga_id: saga_id.to_owned() }
    }

    /// Wakes everybody who waits for the saga: its state may have changed.
    pub(crate) fn notify_changed(&self, saga_id: &str) {
        self.sagas().notify_changed(saga_id);
    }

    fn sagas(&self) -> std::sync::MutexGuard<'_, LiveState> {
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveState {
    fn notify_changed(&self, saga_id: &str) {
        if let Some(awaited) = self.awaited.get(saga_id) {
            awaited.send_replace(());
        }
    }
}

/// Notifies of the changes of one saga: a task begins to run it or ends, it is set aside, or a person closes it.
#[derive(Debug)]
pub struct Changes {
    seen: watch::Receiver<()>,
    live: LiveSagas,
    saga_id: String,
}

impl Changes {
    /// Completes at the next change since the last.
    pub async fn next(&mut self) {
        // The sender lives as long as it has a receiver.
        let _ = self.seen.changed().await;
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut sagas = self.live.sagas();
        // The receiver of this value is counted until it is dropped: a count of 1 means that no other one is left.
        if sagas.awaited.get(&self.saga_id).is_some_and(|sender| sender.receiver_count() <= 1) {
            sagas.awaited.remove(&self.saga_id);
        }
    }
}

/// Held by a task that only waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    live: LiveSagas,
    place: (Timestamp, String),
    told: oneshot::Receiver<()>,
}

impl Waiting {
    /// Completes when the task is to be given back.
    pub(crate) async fn is_to_give_back(&mut self) {
        // The other end is dropped by this one alone, or has told.
        let _ = (&mut self.told).await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.live.sagas().waiting.remove(&self.place);
    }
}

/// A saga's slot, held by its task.
#[derive(Debug)]
pub(crate) struct Slot {
    live: LiveSagas,
    saga_id: String,
}

impl Slot {
    /// Opens the way to the task.
    pub(crate) fn open(&self, handle: Handle) {
        let mut sagas = self.live.sagas();
        sagas.slots.insert(self.saga_id.clone(), Some(handle));
        sagas.notify_changed(&self.saga_id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut sagas = self.live.sagas();
        sagas.slots.remove(&self.saga_id);
        sagas.notify_changed(&self.saga_id);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_saga_is_awaited_until_the_last_who_waits_has_gone() {
        let live = LiveSagas::new(1);
        let (one, mut other) = (live.changes("a"), live.changes("a"));
        drop(one);
        live.notify_changed("a");
        assert!(other.next().now_or_never().is_some(), "the other still waits");
        drop(other);
        assert!(live.sagas().awaited.is_empty());
    }
}
