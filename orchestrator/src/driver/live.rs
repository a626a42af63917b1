//! The sagas that this process is running, each with the way to its task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use saga::{Event, IllegalEvent, SagaState, Status};
use tokio::sync::{mpsc, oneshot, watch};

use crate::journal;

/// What an operator asks of a running saga.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) event: Event,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What an order came to, once it is on disk.
pub(crate) type Answer = Result<(), OrderError>;

impl Order {
    pub(crate) fn new(event: Event) -> (Self, oneshot::Receiver<Answer>) {
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
    /// It could not be recorded; whether it was is told by reading the saga.
    #[error("the order could not be recorded")]
    Journal(#[source] journal::Error),
    /// The task ended before it answered.
    #[error("the saga's task ended before it answered")]
    Gone,
}

/// How far a saga has come on disk.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The number of its records.
    pub next_seq: u64,
    /// Where it stands.
    pub status: Status,
    /// All that is known of it, once it has ended. Before, its journal tells: a copy of the state with each append would
    /// cost more than the few who ask.
    pub end: Option<Arc<SagaState>>,
}

impl Progress {
    pub(crate) fn of(state: &Arc<SagaState>) -> Self {
        let end = state.is_ended().then(|| Arc::clone(state));
        Self { next_seq: state.next_seq(), status: state.status(), end }
    }
}

/// The way to a running saga.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Boxed: the channel makes room for more orders than most sagas ever get.
    pub(crate) orders: mpsc::Sender<Box<Order>>,
    pub(crate) progress: watch::Receiver<Progress>,
}

impl Handle {
    /// How far the saga has come, now and as it goes on. Closes when its task ends.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// The saga's state at its end; `None` where its task ended before. Wakes its caller once, and not with each
    /// change of the state.
    pub async fn ended(&self) -> Option<Arc<SagaState>> {
        // The task has published the end before it gives its orders up.
        self.orders.closed().await;
        self.progress.borrow().end.clone()
    }
}

/// Which sagas run here. A saga has at most one task: its place is taken before the task begins and given up when
/// the task has ended, whatever ended it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    places: Arc<Mutex<HashMap<String, Option<Handle>>>>,
}

impl Live {
    /// Takes the saga's place; `None` when somebody has it.
    pub(crate) fn take(&self, saga_id: &str) -> Option<Place> {
        let mut places = self.places();
        if places.contains_key(saga_id) {
            return None;
        }
        places.insert(saga_id.to_owned(), None);
        Some(Place { live: self.clone(), saga_id: saga_id.to_owned() })
    }

    /// The way to the saga's task, where it runs here.
    pub(crate) fn find(&self, saga_id: &str) -> Option<Handle> {
        self.places().get(saga_id).cloned().flatten()
    }

    /// Whether the saga runs here, or is about to.
    pub(crate) fn is_taken(&self, saga_id: &str) -> bool {
        self.places().contains_key(saga_id)
    }

    pub(crate) fn count(&self) -> usize {
        self.places().len()
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<String, Option<Handle>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A saga's place, held by its task.
#[derive(Debug)]
pub(crate) struct Place {
    live: Live,
    saga_id: String,
}

impl Place {
    /// Opens the way to the task.
    pub(crate) fn open(&self, handle: Handle) {
        self.live.places().insert(self.saga_id.clone(), Some(handle));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.places().remove(&self.saga_id);
    }
}
