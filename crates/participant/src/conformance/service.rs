//! What the cases share: deliveries that each have a trace of their own, and the work they bring.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use store::Connection;
use tokio::sync::oneshot;

use crate::{
    conformance::TestStore,
    decision::{Answered, WorkError},
    inbox::{Delivery, Error, Inbox},
    key::{Direction, Key},
};

/// A call's work: it may be run more than once.
pub(super) type Call = Arc<dyn Fn(&Connection) -> Result<Bytes, WorkError> + Send + Sync>;

/// An undo's work.
pub(super) type Undo = Arc<dyn Fn(&Connection, Bytes) -> Result<Bytes, WorkError> + Send + Sync>;

pub(super) fn work(
    work: impl Fn(&Connection) -> Result<Bytes, WorkError> + Send + Sync + 'static,
) -> Call {
    Arc::new(work)
}

pub(super) fn undo_work(
    work: impl Fn(&Connection, Bytes) -> Result<Bytes, WorkError> + Send + Sync + 'static,
) -> Undo {
    Arc::new(work)
}

pub(super) const CALL: &str = "shop.v1.Stock/Freeze";
pub(super) const UNDO: &str = "shop.v1.Stock/Unfreeze";
pub(super) const REQUEST: &[u8] = b"three of sku 1";

/// A service that is called for the steps of one saga.
#[derive(Clone)]
pub(super) struct TestService {
    inbox: Inbox,
    deliveries: Arc<AtomicU64>,
}

impl TestService {
    pub(super) fn on(test_store: &impl TestStore) -> Self {
        let (clock, _) = Clock::manual(Timestamp(1_700_000_000_000));
        Self::with(Inbox::new(test_store.database().clone(), clock))
    }

    pub(super) fn with(inbox: Inbox) -> Self {
        Self { inbox, deliveries: Arc::default() }
    }

    /// Delivers the call of `step`.
    pub(super) async fn call(&self, step: &str, work: Call) -> Result<Answered, Error> {
        self.call_as(key(step, Direction::Forward), CALL, REQUEST, work).await
    }

    /// Delivers the undo of `step`.
    pub(super) async fn undo(&self, step: &str, work: Undo) -> Result<Answered, Error> {
        self.undo_as(key(step, Direction::Undo), UNDO, REQUEST, work).await
    }

    pub(super) async fn call_as(
        &self,
        key: Key,
        method: &str,
        request: &[u8],
        work: Call,
    ) -> Result<Answered, Error> {
        let trace_id = &self.trace_id();
        let delivery = Delivery { key, method, request, trace_id };
        self.inbox.call(delivery, move |connection| work(connection)).await
    }

    pub(super) async fn undo_as(
        &self,
        key: Key,
        method: &str,
        request: &[u8],
        work: Undo,
    ) -> Result<Answered, Error> {
        let trace_id = &self.trace_id();
        let delivery = Delivery { key, method, request, trace_id };
        self.inbox.undo(delivery, move |connection, call| work(connection, call)).await
    }

    fn trace_id(&self) -> String {
        format!("trace-{}", self.deliveries.fetch_add(1, Ordering::Relaxed))
    }
}

pub(super) fn key(step: &str, direction: Direction) -> Key {
    Key::step("saga-1", step, direction).expect("the cases' names fit a key")
}

/// What the inbox must answer to a repeat of what it answered as `first`.
pub(super) fn again(first: &Answered) -> Answered {
    Answered { repeated: true, ..first.clone() }
}

pub(super) fn answered(delivered: Result<Answered, Error>) -> Answered {
    delivered.expect("the delivery is answered")
}

/// Work that has one effect under `label`.
pub(super) fn effect<B: TestStore>(label: &str, response: impl Into<Bytes>) -> Call {
    let (label, response) = (label.to_owned(), response.into());
    work(move |connection| {
        B::add(connection, &label)?;
        Ok(response.clone())
    })
}

/// Work that has one effect under `label` and then ends in `failure`.
pub(super) fn effect_then<B: TestStore>(label: &str, failure: WorkError) -> Call {
    let label = label.to_owned();
    work(move |connection| {
        B::add(connection, &label)?;
        Err(failure.clone())
    })
}

/// An undo's work that has one effect under `label` and answers with what [`undone`] says.
pub(super) fn undoing<B: TestStore>(label: &str) -> Undo {
    let label = label.to_owned();
    undo_work(move |connection, call| {
        B::add(connection, &label)?;
        Ok(undone(&call))
    })
}

/// An undo's work that has one effect under `label` and then ends in `failure`.
pub(super) fn undo_effect_then<B: TestStore>(label: &str, failure: WorkError) -> Undo {
    let label = label.to_owned();
    undo_work(move |connection, _| {
        B::add(connection, &label)?;
        Err(failure.clone())
    })
}

/// The answer of an undo that was handed `call`, the response of its call.
pub(super) fn undone(call: &[u8]) -> Bytes {
    [b"undone: ", call].concat().into()
}

/// Work that gives itself away when it runs.
pub(super) fn never() -> Call {
    work(|_| Err(WorkError::technical("work ran that must not run")))
}

/// An undo's work that gives itself away when it runs.
pub(super) fn never_undo() -> Undo {
    undo_work(|_, _| Err(WorkError::technical("an undo ran that must not run")))
}

/// A point where work stops, the first time that it gets there, until the case lets it go on.
#[derive(Clone)]
pub(super) struct Gate(Arc<Mutex<Option<ClosedGate>>>);

struct ClosedGate {
    reached: oneshot::Sender<()>,
    open: oneshot::Receiver<()>,
}

/// The case's side of a [`Gate`].
pub(super) struct GateOpener {
    pub(super) reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

pub(super) fn gate() -> (Gate, GateOpener) {
    let (reach, reached) = oneshot::channel();
    let (open, opened) = oneshot::channel();
    let closed = ClosedGate { reached: reach, open: opened };
    (Gate(Arc::new(Mutex::new(Some(closed)))), GateOpener { reached, open })
}

impl Gate {
    /// Says that the work is here and waits; goes on too when the case has dropped its side.
    pub(super) fn pass(&self) {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ClosedGate { reached, open }) = closed else { return };
        if reached.send(()).is_ok() {
            open.blocking_recv().unwrap_or_default();
        }
    }
}

impl GateOpener {
    /// Lets the work go on, if there is any left.
    pub(super) fn open(self) {
        self.open.send(()).unwrap_or_default();
    }
}

/// Work that has one effect under `label` and then stops at `gate`.
pub(super) fn gated<B: TestStore>(gate: Gate, label: &str, response: &'static str) -> Call {
    let label = label.to_owned();
    work(move |connection| {
        B::add(connection, &label)?;
        gate.pass();
        Ok(Bytes::from_static(response.as_bytes()))
    })
}
