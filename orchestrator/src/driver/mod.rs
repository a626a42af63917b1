//! The driver carries out what the engine decides: it starts sagas, takes up those that a stopped process left, and
//! passes operators' orders to them.

pub(crate) mod live;

mod recover;
mod replay;
mod running;
mod saga_task;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use definition::Compiled;
use facade::Trace;
use futures::FutureExt;
use proto::facade::v1::Reason::EngineFailed;
use saga::{Event, Reason, SagaState};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::{ContextV7, Uuid};

use crate::{
    journal::{self, Header, Link, Number, RemovedSaga, Started},
    outbound::Participants,
    registry::Registry,
};
use live::{LiveSagas, OperatorOrder, Slot};
use saga_task::{SagaTask, TaskEnd};

pub use live::{Changes, Handle, OrderError, Published};
pub(crate) use recover::definition_unreadable;
pub use replay::{Replayed, Replayer, Unreadable, replay};

/// How long an order waits for a saga that is being taken up, and how soon it looks again.
const TAKE_UP_TIMEOUT: Duration = Duration::from_secs(2);
const TAKE_UP_POLL: Duration = Duration::from_millis(10);

/// What every saga's task works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) clock: Clock,
    pub(crate) journal: journal::Shared,
    pub(crate) participants: Participants,
    /// No saga takes another step.
    pub(crate) stop: CancellationToken,
}

/// Runs sagas. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    context: Arc<Context>,
    registry: Arc<Registry>,
    live: LiveSagas,
    tasks: TaskTracker,
    halt: CancellationToken,
    aborted: CancellationToken,
    /// Wakes the recovery loop before its time.
    needs_recovery: Arc<tokio::sync::Notify>,
    node: Arc<str>,
    /// Ids of one millisecond are in the order of their starts.
    ids: Arc<Mutex<ContextV7>>,
    max_running: usize,
}

/// What a start came to.
#[derive(Clone, Debug)]
pub enum Start {
    /// A new saga, on disk and running.
    New {
        /// Its id.
        saga_id: String,
        /// The way to it.
        handle: Handle,
    },
    /// The saga that the same request started before.
    Already {
        /// Its id.
        saga_id: String,
    },
    /// The saga that the same request started before has been removed since.
    Removed(RemovedSaga),
    /// Another request was started under the key.
    KeyReused,
    /// `max_running` sagas run here already: nothing was begun.
    Overloaded,
}

/// Why no saga was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal failed: whether the saga was started is told by starting it again under the same key.
    #[error("the start could not be recorded")]
    Journal(#[from] journal::Error),
    /// The engine refuses its own first records: a bug, and nothing was begun.
    #[error("the engine refused the start of the saga")]
    Engine(#[from] saga::IllegalEvent),
    /// The new saga's id is in use: a bug, and nothing was begun.
    #[error("the id {0} of the new saga is in use")]
    IdTaken(String),
}

impl Driver {
    /// A driver that runs nothing yet. It starts no saga while `max_running` are not at their end; those that it takes
    /// up again count, and are always taken up.
    #[must_use]
    pub fn new(
        clock: Clock,
        journal: journal::Shared,
        participants: Participants,
        registry: Arc<Registry>,
        max_running: usize,
    ) -> Self {
        let (ids, clock_now) = (Mutex::new(ContextV7::new()), clock.now());
        Self {
            context: Arc::new(Context {
                clock,
                journal,
                participants,
                stop: CancellationToken::new(),
            }),
            registry,
            live: LiveSagas::default(),
            tasks: TaskTracker::new(),
            halt: CancellationToken::new(),
            aborted: CancellationToken::new(),
            needs_recovery: Arc::default(),
            node: new_id(&ids, clock_now).simple().to_string().into(),
            ids: Arc::new(ids),
            max_running,
        }
    }

    /// Starts a saga; answers when it is on disk.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        &self,
        definition: Arc<Compiled>,
        key: String,
        request: Bytes,
        trace: &Trace,
    ) -> Result<Start, StartError> {
        if self.context.stop.is_cancelled() {
            return Err(journal::Error::Closed.into());
        }
        // A start beyond the limit is refused before any work is done for it.
        if self.running() >= self.max_running {
            return Ok(Start::Overloaded);
        }
        let now = self.context.clock.now();
        let header = Header {
            saga_id: new_id(&self.ids, now).to_string(),
            definition_hash: definition.hash().to_owned(),
            definition: definition.name().to_owned(),
            version: definition.version(),
            key,
            request,
            trace: trace.keep(),
            deadline: now.after(definition.engine().deadline()),
            created_at: now,
        };
        // The start runs to its end when the caller goes away: the saga that it puts on disk must be run.
        let driver = self.clone();
        let starting = self.tasks.spawn(async move { driver.start_new(definition, header).await });
        starting.await.unwrap_or(Err(StartError::Journal(journal::Error::Closed)))
    }

    async fn start_new(
        &self,
        definition: Arc<Compiled>,
        header: Header,
    ) -> Result<Start, StartError> {
        let saga_id = header.saga_id.clone();
        // The slot is taken first: otherwise recovery could find the saga on disk and run it beside this task.
        let Some(slot) = self.live.take(&saga_id) else {
            return Err(StartError::IdTaken(saga_id));
        };
        let (state, link) = (SagaState::new(definition.engine()), Link::root(&header));
        let (mut task, handle) = self.task(Arc::new(header), definition, state, link);
        // What the saga does first goes into the commit that starts it.
        let (entries, changed) = task.begin()?;
        match self.context.journal.start(Header::clone(task.header()), entries, changed).await? {
            Started::KeyReused => return Ok(Start::KeyReused),
            Started::Already { saga_id } => return Ok(Start::Already { saga_id }),
            Started::Removed(removed) => return Ok(Start::Removed(removed)),
            Started::New(number) => self.spawn(slot, handle.clone(), task, number),
        }
        Ok(Start::New { saga_id, handle })
    }

    fn task(
        &self,
        header: Arc<Header>,
        definition: Arc<Compiled>,
        state: SagaState,
        link: Link,
    ) -> (SagaTask, Handle) {
        let context = Arc::clone(&self.context);
        SagaTask::new(context, header, definition, state, link)
    }

    fn spawn(&self, slot: Slot, handle: Handle, task: SagaTask, number: Number) {
        slot.open(handle);
        let header = Arc::clone(task.header());
        let span = tracing::info_span!(
            parent: None,
            "saga",
            saga.id = header.saga_id,
            saga.name = header.definition,
            trace.id = Trace::id_of(&header.trace)
        );
        let driver = self.clone();
        let run = async move {
            // A panic must take neither the process nor the saga's slot with it.
            let ended = AssertUnwindSafe(task.run(number)).catch_unwind().await;
            driver.ended(&header, slot, ended).await;
        };
        // A task that still runs when the node is aborted ends with it, and closes its files.
        let aborted = self.aborted.clone();
        let run = async move {
            aborted.run_until_cancelled(run).await;
        };
        self.tasks.spawn(tracing::Instrument::instrument(run, span));
    }

    /// The slot is released after the outcome was recorded: until then recovery leaves the saga alone.
    async fn ended(&self, header: &Header, slot: Slot, ended: std::thread::Result<TaskEnd>) {
        let why = match ended {
            Ok(TaskEnd::Saga | TaskEnd::Stopping) => return,
            Ok(TaskEnd::Journal(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the saga stops here until the journal is read"
                );
                drop(slot);
                self.needs_recovery.notify_one();
                return;
            }
            Ok(TaskEnd::Engine(refused)) => {
                format!("the engine refused its own decision: {refused}")
            }
            Err(_) => "the saga's task panicked".to_owned(),
        };
        self.set_aside(&header.saga_id, Reason::new(EngineFailed.code(), why)).await;
    }

    /// Parks a saga outside its journal: one that cannot be read or run must not be tried for ever.
    async fn set_aside(&self, saga_id: &str, why: Reason) {
        tracing::error!(
            saga.id = saga_id,
            reason = why.code,
            why = why.message,
            "the saga needs a person: it is set aside"
        );
        if let Err(error) = self.context.journal.set_aside(saga_id, why).await {
            tracing::error!(
                saga.id = saga_id,
                error = &error as &dyn std::error::Error,
                "it could not be set aside"
            );
        }
        self.live.notify_changed(saga_id);
    }

    /// Passes an operator's order to a saga's task; answers when it is on disk.
    ///
    /// # Errors
    /// See [`OrderError`]; [`OrderError::TaskEnded`] where the saga does not run here.
    pub async fn order(&self, saga_id: &str, event: Event) -> Result<(), OrderError> {
        let handle = self.handle(saga_id).await.ok_or(OrderError::TaskEnded)?;
        let (order, answered) = OperatorOrder::new(event);
        handle.orders.send(Box::new(order)).await.map_err(|_| OrderError::TaskEnded)?;
        answered.await.unwrap_or(Err(OrderError::TaskEnded))
    }

    /// The way to a saga's task. One that is being taken up at this moment is waited for.
    async fn handle(&self, saga_id: &str) -> Option<Handle> {
        let clock = &self.context.clock;
        let deadline = clock.now().after(TAKE_UP_TIMEOUT);
        loop {
            let found = self.live.find(saga_id);
            if found.is_some() || !self.live.is_taken(saga_id) || clock.now() >= deadline {
                return found;
            }
            clock.sleep(TAKE_UP_POLL).await;
        }
    }

    /// Ends a saga that stands aside, as a person says; false where it does not stand aside.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn close_aside(&self, saga_id: &str, why: &str) -> Result<bool, journal::Error> {
        let why = Reason::new(Reason::RESOLVED_BY_OPERATOR, why);
        let closed = self.context.journal.close_aside(saga_id, why, self.context.clock.now()).await;
        self.live.notify_changed(saga_id);
        closed
    }

    /// The way to a saga; `None` where it does not run here.
    #[must_use]
    pub fn find(&self, saga_id: &str) -> Option<Handle> {
        self.live.find(saga_id)
    }

    /// What happens to a saga from now on while no task runs it here.
    #[must_use]
    pub fn changes(&self, saga_id: &str) -> Changes {
        self.live.changes(saga_id)
    }

    /// How many sagas run here.
    #[must_use]
    pub fn running(&self) -> usize {
        self.live.count()
    }

    /// The clock that sagas are timed by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &dyn journal::Journal {
        self.context.journal.as_ref()
    }

    /// The registered definitions.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Makes no new call, records the answers that still come for `timeout` at most, and then wakes everybody who waits for a
    /// saga. Gives how many sagas still had a call under way; their journals let the next start go on with them.
    pub async fn stop(&self, timeout: Duration) -> usize {
        self.context.stop.cancel();
        self.tasks.close();
        let parked = self.context.clock.timeout(timeout, self.tasks.wait()).await;
        let left = if parked.is_ok() { 0 } else { self.running() };
        self.halt.cancel();
        left
    }

    /// Ends every task where it stands, as the death of the process would: what was not recorded is taken up at the next
    /// start.
    pub fn abort(&self) {
        self.context.stop.cancel();
        self.halt.cancel();
        self.aborted.cancel();
    }

    /// Completes when no saga moves here any more, so that nobody waits for one in vain.
    pub async fn halted(&self) {
        self.halt.cancelled().await;
    }

    /// Whether no saga moves here any more.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.halt.is_cancelled()
    }
}

/// An id that tells when it was given: inboxes and lists go by that of a saga.
fn new_id(ids: &Mutex<ContextV7>, now: clock::Timestamp) -> Uuid {
    let context = ids.lock().unwrap_or_else(PoisonError::into_inner);
    let nanos = u32::try_from(now.0 % 1_000 * 1_000_000).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(&*context, now.0 / 1_000, nanos))
}
