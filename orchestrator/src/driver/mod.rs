//! The driver carries out what the engine decides: it starts sagas, takes up those that a stopped process left, and
//! passes operators' orders to them.

pub(crate) mod live;

mod admission;
mod orders;
mod pace;
mod recover;
mod replay;
mod running;
mod saga_task;
mod sleepers;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clock::Clock;
use definition::Compiled;
use facade::{Trace, log::Scope};
use futures::FutureExt;
use metrics::Registry as Measured;
use proto::facade::v1::Reason::EngineFailed;
use saga::{Reason, SagaState};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::{ContextV7, Uuid};

use crate::{
    config::Limits,
    journal::{self, Header, IndexRow, Link, Number, RemovedSaga, Started, Wanted},
    metrics::{Refusals, SagaMetrics, observe_driver},
    outbound::Participants,
    registry::Registry,
};
use admission::{Admission, Permit};
use live::{LiveSagas, Slot};
use saga_task::{SagaTask, TaskEnd};
use sleepers::NextLook;

pub use crate::metrics::Limit;
pub use admission::{Refusal, Requester};
pub use live::{Changes, Handle, OrderError, Published};
pub(crate) use recover::definition_unreadable;
pub(crate) use replay::read_apart;
pub use replay::{Replayed, Replayer, Unreadable, replay};
pub(crate) use running::facts;

/// What every saga's task works with.
pub(crate) struct Context {
    pub(crate) clock: Clock,
    pub(crate) journal: journal::Shared,
    pub(crate) participants: Participants,
    pub(crate) admission: Arc<Admission>,
    pub(crate) live: LiveSagas,
    /// How many records a saga has before people can no longer lengthen its journal.
    pub(crate) max_records: u64,
    pub(crate) metrics: SagaMetrics,
    pub(crate) refusals: Refusals,
    /// No saga takes another step.
    pub(crate) stop: CancellationToken,
}

/// Runs sagas. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    context: Arc<Context>,
    registry: Arc<Registry>,
    tasks: TaskTracker,
    halt: CancellationToken,
    aborted: CancellationToken,
    /// Wakes the recovery loop before its time.
    needs_recovery: Arc<tokio::sync::Notify>,
    next_look: Arc<NextLook>,
    node: Arc<str>,
    /// Ids of one millisecond are in the order of their starts.
    ids: Arc<Mutex<ContextV7>>,
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
    /// There is no room for one more: nothing was begun.
    Refused(Refusal),
    /// Nobody waited for it any more: nothing was begun.
    Abandoned,
}

impl From<Started> for Start {
    /// What an earlier start under the key came to.
    fn from(started: Started) -> Self {
        match started {
            Started::New(_) | Started::Abandoned => Self::Abandoned,
            Started::Already { saga_id } => Self::Already { saga_id },
            Started::Removed(kept) => Self::Removed(kept),
            Started::KeyReused => Self::KeyReused,
        }
    }
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
    /// A driver that runs nothing yet, and never more than `limits` say. What it does is `measured`.
    #[must_use]
    pub fn new(
        clock: Clock,
        journal: journal::Shared,
        participants: Participants,
        registry: Arc<Registry>,
        limits: &Limits,
        measured: &Measured,
    ) -> Self {
        let (ids, clock_now) = (Mutex::new(ContextV7::new()), clock.now());
        let admission = Admission::new(clock.clone(), participants.clone(), limits);
        let driver = Self {
            context: Arc::new(Context {
                clock,
                journal,
                participants,
                admission: Arc::new(admission),
                live: LiveSagas::new(limits.sagas.max_waiting),
                max_records: limits.sagas.max_records,
                metrics: SagaMetrics::new(measured),
                refusals: Refusals::new(measured),
                stop: CancellationToken::new(),
            }),
            registry,
            tasks: TaskTracker::new(),
            halt: CancellationToken::new(),
            aborted: CancellationToken::new(),
            needs_recovery: Arc::default(),
            next_look: Arc::default(),
            node: new_id(&ids, clock_now).simple().to_string().into(),
            ids: Arc::new(ids),
        };
        observe_driver(&driver, measured);
        driver
    }

    /// Starts a saga; answers when it is on disk. One that is not on disk yet when the future is dropped is not started.
    /// What a repeat gets is looked up before anything is refused.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        &self,
        definition: Arc<Compiled>,
        key: String,
        request: Bytes,
        trace: &Trace,
        requester: &Requester,
    ) -> Result<Start, StartError> {
        if self.context.stop.is_cancelled() {
            return Err(journal::Error::Closed.into());
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
        let permit = match self.context.admission.begin(&definition, requester) {
            Ok(permit) => permit,
            Err(refusal) => {
                let started = self.context.journal.earlier_start(&header).await?;
                let Some(started) = started else {
                    self.context.refusals.count(refusal.limit);
                    return Ok(Start::Refused(refusal));
                };
                return Ok(started.into());
            }
        };
        // A start that has come to the disk runs to its end when the caller goes away: its saga must be run.
        let (driver, (caller, wanted)) = (self.clone(), Wanted::by_caller());
        let starting = async move { driver.start_new(definition, header, permit, wanted).await };
        let started = self.tasks.spawn(starting).await;
        drop(caller);
        started.unwrap_or(Err(StartError::Journal(journal::Error::Closed)))
    }

    async fn start_new(
        &self,
        definition: Arc<Compiled>,
        header: Header,
        permit: Permit,
        wanted: Wanted,
    ) -> Result<Start, StartError> {
        if !wanted.is_wanted() {
            return Ok(Start::Abandoned);
        }
        let saga_id = header.saga_id.clone();
        // The slot is taken first: otherwise recovery could find the saga on disk and run it beside this task.
        let Some(slot) = self.context.live.take(&saga_id) else {
            return Err(StartError::IdTaken(saga_id));
        };
        let (state, link) = (SagaState::new(definition.engine()), Link::root(&header));
        let (mut task, handle) = self.task(Arc::new(header), definition, state, link, permit);
        // What the saga does first goes into the commit that starts it.
        let (entries, changed) = task.begin()?;
        let append = self.context.admission.pace().append();
        let header = Header::clone(task.header());
        let started = self.context.journal.start(header, entries, changed, wanted).await?;
        append.answered();
        let Started::New(number) = started else { return Ok(started.into()) };
        task.count();
        self.spawn(slot, handle.clone(), task, number);
        Ok(Start::New { saga_id, handle })
    }

    fn task(
        &self,
        header: Arc<Header>,
        definition: Arc<Compiled>,
        state: SagaState,
        link: Link,
        permit: Permit,
    ) -> (SagaTask, Handle) {
        let context = Arc::clone(&self.context);
        SagaTask::new(context, header, definition, state, link, permit)
    }

    fn spawn(&self, slot: Slot, handle: Handle, task: SagaTask, number: Number) {
        slot.open(handle);
        let header = Arc::clone(task.header());
        let scope = Scope::of(Arc::clone(&header));
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
        self.tasks.spawn(scope.run(run));
    }

    /// The slot is released after the outcome was recorded: until then recovery leaves the saga alone.
    async fn ended(&self, header: &Header, slot: Slot, ended: std::thread::Result<TaskEnd>) {
        let why = match ended {
            Ok(TaskEnd::Saga | TaskEnd::Stopping) => return,
            Ok(TaskEnd::Asleep { until, orders }) => {
                drop(slot);
                self.next_look.by(until);
                for order in orders {
                    self.deliver(&header.saga_id, Box::new(order)).await;
                }
                return;
            }
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
        let code = why.code.clone();
        match self.context.journal.set_aside(saga_id, why).await {
            Ok(()) => self.context.metrics.set_aside(&code),
            Err(error) => tracing::error!(
                saga.id = saga_id,
                error = &error as &dyn std::error::Error,
                "it could not be set aside"
            ),
        }
        self.context.live.notify_changed(saga_id);
    }

    /// Ends a saga that stands aside, as a person says; false where it does not stand aside.
    ///
    /// # Errors
    /// When the journal fails.
    pub async fn close_aside(&self, saga_id: &str, why: &str) -> Result<bool, journal::Error> {
        let why = Reason::new(Reason::RESOLVED_BY_OPERATOR, why);
        let closed = self.context.journal.close_aside(saga_id, why, self.context.clock.now()).await;
        self.context.live.notify_changed(saga_id);
        if let Ok(true) = closed {
            self.count_closed_aside(saga_id).await;
        }
        closed
    }

    /// Counts the end of a saga that nobody could read: only the index has what it was.
    async fn count_closed_aside(&self, saga_id: &str) {
        let Ok(Some(closed)) = self.context.journal.find(saga_id).await else { return };
        let IndexRow { header, updated_at, .. } = closed;
        if self.registry.knows(&header.definition) {
            let took = updated_at.since(header.created_at);
            self.context.metrics.closed_aside(&header.definition, took);
        }
    }

    /// The way to a saga; `None` where it does not run here.
    #[must_use]
    pub fn find(&self, saga_id: &str) -> Option<Handle> {
        self.context.live.find(saga_id)
    }

    /// What happens to a saga from now on while no task runs it here.
    #[must_use]
    pub fn changes(&self, saga_id: &str) -> Changes {
        self.context.live.changes(saga_id)
    }

    /// How many sagas run here.
    #[must_use]
    pub fn running(&self) -> usize {
        self.context.live.count()
    }

    /// Counts what was refused because of a limit.
    pub(crate) fn refused(&self, limit: Limit) {
        self.context.refusals.count(limit);
    }

    /// What every saga's task works with.
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Counts what happens to sagas.
    pub(crate) fn metrics(&self) -> &SagaMetrics {
        &self.context.metrics
    }

    /// Who is called.
    #[must_use]
    pub fn participants(&self) -> &Participants {
        &self.context.participants
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
    pub fn registry(&self) -> &Arc<Registry> {
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
