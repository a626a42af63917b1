//! One saga's task: decide, journal, call, journal.
//!
//! The engine decides and this carries out. Nothing is acted on before it is on disk: all that a turn of the loop
//! records goes into one append, and only then are its calls made. When an append fails the task ends, for only the
//! journal can tell what became of it; recovery reads it and takes the saga up again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use definition::{Compiled, Method, Overrides};
use facade::{Trace, trace::SpanId};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proto::facade::v1::Reason::NoUndo;
use rand::Rng;
use saga::{
    Answer, Command, Compensation, Direction, Event, Jitter, Reason, Record, SagaState, Status,
    StepId, TimeRules,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Context,
    admission::Permit,
    live::{self, Handle, OperatorOrder, OrderError, Published},
    replay::Replayer,
    running::{NextActions, Running},
    spans::{self, End, SpanIds},
};
use crate::{
    journal::{self, Change, Entry, FOR_A_PERSON, Header, Link, NamedCause, Number, Standing},
    metrics::{DefinitionMetrics, Limit, Marks},
    outbound::{Attempt, CallOutcome, Judge},
};

/// Orders that may wait for one saga's task.
const ORDER_QUEUE: usize = 16;

/// Why a task ended.
#[derive(Debug)]
pub(crate) enum TaskEnd {
    /// The saga has.
    Saga,
    /// The saga waits, and nothing is under way. Orders came too late for the task.
    Asleep { until: clock::Timestamp, orders: Vec<OperatorOrder> },
    /// The process is stopping; the saga stands in the journal.
    Stopping,
    /// The journal failed: only reading it tells where the saga stands.
    Journal(journal::Error),
    /// The engine refused what it had decided itself: a bug, and the saga must not go on by it.
    Engine(saga::IllegalEvent),
}

/// A call that came to something, and how it ended where that is told.
type AnsweredCall = (StepId, Direction, Answer, Option<End>);

/// The answer to an operator, sent after the next append: it may rest on records that are not on disk yet.
struct PendingReply {
    answer: oneshot::Sender<live::OrderResult>,
    outcome: live::OrderResult,
}

/// Runs one saga.
pub(crate) struct SagaTask {
    context: Arc<Context>,
    saga: Running,
    link: Link,
    /// The call that started the saga, under which calls are made where no spans are told.
    caller: Trace,
    span_ids: SpanIds,
    metrics: Arc<DefinitionMetrics>,
    /// Held while the saga is active.
    permit: Option<Permit>,
    orders: mpsc::Receiver<Box<OperatorOrder>>,
    records: watch::Sender<u64>,
    published: watch::Sender<Published>,
    /// How far its compensation has come on disk.
    compensation: Option<Compensation>,
    stopped: BoxFuture<'static, ()>,
    /// The next instant at which the engine must decide again, and the future that waits for it.
    alarm: Option<(saga::Timestamp, BoxFuture<'static, ()>)>,
    /// What a new saga does first: it is on disk with its start.
    first_actions: Option<NextActions>,
    pending_replies: Vec<PendingReply>,
    calling: HashSet<(StepId, Direction)>,
    calls: FuturesUnordered<BoxFuture<'static, AnsweredCall>>,
}

impl SagaTask {
    /// A task that stands where `replayer` does, and the handle to it.
    pub(crate) fn new(
        context: Arc<Context>,
        caller: Trace,
        header: Arc<Header>,
        definition: Arc<Compiled>,
        replayer: Replayer,
        permit: Permit,
    ) -> (Self, Handle) {
        let Replayer { state, link, spans } = replayer;
        let (orders, waiting) = mpsc::channel(ORDER_QUEUE);
        let state = Arc::new(state);
        let (written, records) = watch::channel(state.next_seq());
        let standing = standing(&state, &definition);
        let (publisher, published) = watch::channel(Published { standing, end: None });
        let compensation = state.compensation();
        let task = Self {
            caller,
            span_ids: SpanIds::of(&header.saga_id),
            metrics: context.metrics.of(&definition),
            saga: Running {
                clock: context.clock.clone(),
                header,
                definition,
                state,
                recorded: Vec::new(),
                marks: Marks::default(),
                spans,
            },
            stopped: context.stop.clone().cancelled_owned().boxed(),
            context,
            link,
            permit: Some(permit),
            orders: waiting,
            records: written,
            published: publisher,
            compensation,
            alarm: None,
            first_actions: None,
            pending_replies: Vec::new(),
            calling: HashSet::new(),
            calls: FuturesUnordered::new(),
        };
        (task, Handle { orders, records, published })
    }

    /// What the saga was started with.
    pub(crate) fn header(&self) -> &Arc<Header> {
        &self.saga.header
    }

    /// Begins a new saga: its start and what it does first, to be put on disk in one piece before the task runs, and the
    /// state that the index has to show where that is not RUNNING.
    pub(crate) fn begin(&mut self) -> Result<(Vec<Entry>, Option<Change>), saga::IllegalEvent> {
        let deadline = saga::Timestamp(self.header().deadline.0);
        self.saga.record(Event::Started { deadline, rules: TimeRules::CURRENT })?;
        self.first_actions = Some(self.saga.decide_all()?);
        let (entries, _, changed) = self.encode();
        Ok((entries, changed))
    }

    /// Runs the saga until it ends or falls asleep, the process stops, or the journal fails.
    pub(crate) async fn run(mut self, number: Number) -> TaskEnd {
        let mut first_actions = self.first_actions.take();
        if first_actions.is_some() {
            let standing = standing(&self.saga.state, &self.saga.definition);
            self.tell_spans();
            self.publish(Some(standing));
        }
        loop {
            let actions = match first_actions.take() {
                Some(actions) => actions,
                None => match self.turn(number).await {
                    Ok(actions) => actions,
                    Err(ended) => return ended,
                },
            };
            if self.saga.state.is_ended() {
                return TaskEnd::Saga;
            }
            let stopping = self.context.stop.is_cancelled();
            if !stopping {
                for call in actions.calls {
                    self.launch(call);
                }
            } else if self.calls.is_empty() {
                return TaskEnd::Stopping;
            }
            let waited = match self.calls.is_empty() {
                true => self.idle(number, actions.wake).await,
                false => self.wait(actions.wake, stopping).await.map_err(TaskEnd::Engine),
            };
            if let Err(ended) = waited {
                return ended;
            }
        }
    }

    /// Waits with nothing under way. A saga that does so is not active; where it waits for a person, or others need the
    /// room, it falls asleep.
    async fn idle(&mut self, number: Number, wake: Option<saga::Timestamp>) -> Result<(), TaskEnd> {
        self.permit = None;
        let Some(due) = wake else { return Err(self.fall_asleep(number, FOR_A_PERSON).await) };
        let until = clock::Timestamp(due.0);
        let mut waiting = self.context.live.wait(&self.saga.header.saga_id, due);
        tokio::select! {
            () = waiting.is_to_give_back() => return Err(self.fall_asleep(number, until).await),
            waited = self.wait(wake, false) => waited.map_err(TaskEnd::Engine)?,
        }
        drop(waiting);
        let lag = self.saga.now().0.checked_sub(due.0).map(Duration::from_millis);
        let (admission, definition) = (&self.context.admission, self.saga.definition.name());
        let is_ordered = !self.pending_replies.is_empty();
        self.permit = match is_ordered || self.context.stop.is_cancelled() {
            true => Some(admission.take_up(definition)),
            false => admission.wake(definition),
        };
        match self.permit {
            Some(_) => {
                lag.into_iter().for_each(|lag| self.context.metrics.dispatched(lag));
                Ok(())
            }
            None => Err(self.fall_asleep(number, until).await),
        }
    }

    /// Gives the task back: the journal has until when the saga waits.
    async fn fall_asleep(&mut self, number: Number, until: clock::Timestamp) -> TaskEnd {
        if let Err(error) = self.context.journal.sleep(number, until).await {
            return TaskEnd::Journal(error);
        }
        self.orders.close();
        let mut orders = Vec::new();
        // Also those that are being sent at this moment, on another thread.
        while let Some(order) = self.orders.recv().await {
            orders.push(*order);
        }
        TaskEnd::Asleep { until, orders }
    }

    /// Decides all that can be decided, and puts it on disk.
    async fn turn(&mut self, number: Number) -> Result<NextActions, TaskEnd> {
        let actions = self.saga.decide_all().map_err(TaskEnd::Engine)?;
        self.append(number).await.map_err(TaskEnd::Journal)?;
        Ok(actions)
    }

    /// Puts what was recorded on disk, then tells everybody who waits for it.
    async fn append(&mut self, number: Number) -> Result<(), journal::Error> {
        if !self.saga.recorded.is_empty() {
            let (entries, records, changed) = self.encode();
            let append = self.context.admission.pace().append();
            let standing = changed.as_ref().map(|change| change.standing.clone());
            let appended = self.context.journal.append(number, entries, changed).await;
            append.answered();
            if let Err(error) = appended {
                for reply in self.pending_replies.drain(..) {
                    let _ = reply.answer.send(Err(OrderError::Journal(error.clone())));
                }
                return Err(error);
            }
            if self.published.borrow().standing.status != Status::Attention {
                raise_alarm(&self.saga.definition, &records);
            }
            // Before anybody is told, so that whoever waited for it finds it counted.
            self.count();
            self.tell_spans();
            self.publish(standing);
        }
        for reply in self.pending_replies.drain(..) {
            // The operator may have gone away; the order stands.
            let _ = reply.answer.send(reply.outcome);
        }
        Ok(())
    }

    /// Counts what is on disk now.
    pub(crate) fn count(&mut self) {
        let trace_id = || self.caller.is_exported().then(|| self.caller.id());
        self.metrics.count(&mut self.saga.marks, trace_id);
    }

    /// What was recorded, as the journal keeps it and as it is, with what it changes of the index.
    fn encode(&mut self) -> (Vec<Entry>, Vec<Record>, Option<Change>) {
        let records = std::mem::take(&mut self.saga.recorded);
        let (entries, link) = journal::record::encode_all(&records, self.link);
        // An append that fails ends the task, so the link is never used then.
        self.link = link;
        let standing = standing(&self.saga.state, &self.saga.definition);
        let compensation = self.saga.state.compensation();
        let before = std::mem::replace(&mut self.compensation, compensation);
        let changed = standing != self.published.borrow().standing || compensation != before;
        (entries, records, changed.then_some(Change { standing, compensation }))
    }

    /// Tells the spans that are over, now that what they stand for is on disk.
    fn tell_spans(&mut self) {
        if let Some(spans) = &mut self.saga.spans {
            spans.tell();
        }
    }

    fn publish(&self, changed: Option<Standing>) {
        let state = &self.saga.state;
        self.records.send_replace(state.next_seq());
        if let Some(standing) = changed {
            let end = state.is_ended().then(|| Arc::clone(state));
            self.published.send_replace(Published { standing, end });
        }
    }

    fn launch(&mut self, command: Command) {
        let Command::Call { step, direction, attempt, request, durable, follows } = command else {
            return;
        };
        debug_assert!(
            durable < self.saga.state.next_seq(),
            "the engine asks for a record that is not there"
        );
        if !self.calling.insert((step, direction)) {
            return;
        }
        let definition = Arc::clone(&self.saga.definition);
        let (context, header) = (Arc::clone(&self.context), Arc::clone(&self.saga.header));
        let trace = self.place(step, direction, follows);
        let is_told = self.saga.spans.is_some();
        let metadata = self.saga.metadata(step);
        let metrics = Arc::clone(&self.metrics);
        let method = spans::method(&self.saga.state, step, direction);
        let (send_by, cut_off) = (self.send_by(direction), self.cut_off(direction));
        let mut published = self.published.subscribe();
        let call = async move {
            let compiled = definition.step(step);
            let Some(target) = compiled.target(method) else {
                let none = Reason::new(NoUndo.code(), "the step has no undo");
                return (step, direction, Answer::Unusable(none), None);
            };
            let metadata = match metadata {
                Ok(metadata) => metadata,
                Err(reason) => return (step, direction, Answer::Unusable(reason), None),
            };
            let rules = definition.engine().step(step);
            // What the definition says of answers is said of effects, which a lookup has none of.
            let no_overrides = Overrides::default();
            let attempt = Attempt {
                saga_id: &header.saga_id,
                step: &rules.name,
                direction,
                number: attempt,
                target,
                request,
                timeout: rules.timeout,
                send_by,
                cut_off,
                overrides: if method == Method::Lookup { &no_overrides } else { &compiled.answers },
                metadata,
                judge: Judge::of(&definition, step, method, &header.request),
                is_lookup: method == Method::Lookup,
                times: metrics.times(step, method),
            };
            // An attempt that waits for a stream is dropped when its saga changes state or the node stops: it was decided on
            // before that.
            let withdrawn = async {
                tokio::select! {
                    _ = published.changed() => {}
                    () = context.stop.cancelled() => {}
                }
            };
            let CallOutcome { answer, status } =
                attempt.make(&context.participants, &trace, withdrawn).await;
            let end = is_told.then(|| End {
                at: context.clock.system_time(),
                status,
                server: context.participants.address(&target.service),
            });
            (step, direction, answer, end)
        };
        self.calls.push(call.boxed());
    }

    /// The place in its trace of the attempt that follows this record: every attempt has one of its own, and the next node
    /// would give it the same.
    fn place(&mut self, step: StepId, direction: Direction, follows: u64) -> Trace {
        let (state, now) = (&self.saga.state, self.saga.now());
        if let Some(spans) = &mut self.saga.spans
            && let Some(attempt) = state
                .under_way(now)
                .find(|attempt| (attempt.step, attempt.direction) == (step, direction))
        {
            return spans.begin(state, attempt, self.saga.clock.system_time());
        }
        self.caller.below(SpanId::from(self.span_ids.attempt(step, direction, follows)))
    }

    /// A call is not sent behind the deadline that turns its saga back. An undo has the time that it needs.
    fn send_by(&self, direction: Direction) -> Option<clock::Timestamp> {
        let Running { definition, state, .. } = &self.saga;
        let holds = direction == Direction::Forward && state.deadline_holds(definition.engine());
        holds.then(|| clock::Timestamp(state.deadline().0))
    }

    /// A call that the saga's deadline will turn back is not waited for beyond it.
    fn cut_off(&self, direction: Direction) -> Option<clock::Timestamp> {
        let Running { definition, state, .. } = &self.saga;
        let can_turn_back = state.can_turn_back(definition.engine(), self.saga.now());
        self.send_by(direction).filter(|_| can_turn_back)
    }

    /// Waits until something happens, and takes all that has happened.
    async fn wait(
        &mut self,
        wake: Option<saga::Timestamp>,
        stopping: bool,
    ) -> Result<(), saga::IllegalEvent> {
        self.set_alarm(wake.filter(|_| !stopping));
        let woken = async {
            match &mut self.alarm {
                Some((_, woken)) => woken.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(answered) = self.calls.next() => self.answered(answered)?,
            Some(order) = self.orders.recv() => self.apply_order(*order),
            () = woken => self.alarm = None,
            () = &mut self.stopped, if !stopping => {}
        }
        while let Some(Some(answered)) = self.calls.next().now_or_never() {
            self.answered(answered)?;
        }
        while let Ok(order) = self.orders.try_recv() {
            self.apply_order(*order);
        }
        Ok(())
    }

    /// Most turns wait until the saga's deadline at the latest: what waits for it is kept from turn to turn.
    fn set_alarm(&mut self, wake: Option<saga::Timestamp>) {
        if self.alarm.as_ref().map(|(instant, _)| *instant) == wake {
            return;
        }
        self.alarm = wake.map(|instant| {
            let clock = self.context.clock.clone();
            let woken = async move { clock.sleep_until(clock::Timestamp(instant.0)).await };
            (instant, woken.boxed())
        });
    }

    fn answered(
        &mut self,
        (step, direction, answer, end): AnsweredCall,
    ) -> Result<(), saga::IllegalEvent> {
        self.calling.remove(&(step, direction));
        if self.saga.state.is_ended() {
            // An operator closed the saga while the call was under way.
            return Ok(());
        }
        if let (Some(spans), Some(end)) = (&mut self.saga.spans, end) {
            spans.end(step, direction, end);
        }
        let jitter = Jitter(rand::rng().random());
        self.saga.record(match direction {
            Direction::Forward => Event::CallAnswered { step, answer, jitter },
            Direction::Undo if self.saga.state.looks_up(step) => {
                Event::LookupAnswered { step, answer, jitter }
            }
            Direction::Undo => Event::UndoAnswered { step, answer, jitter },
        })
    }

    /// People can pause and retry a saga for ever; all else that they order, they can order as often as it has steps.
    fn may_lengthen(&self, event: &Event) -> bool {
        let again = matches!(event, Event::Paused { .. } | Event::Retried { .. });
        !again || self.saga.state.next_seq() < self.context.max_records
    }

    /// An operator's order is refused by the engine's own rules, and leaves nothing behind then.
    pub(crate) fn apply_order(&mut self, order: OperatorOrder) {
        let OperatorOrder { event, by, answer } = order;
        let outcome = match self.may_lengthen(&event) {
            true => self.saga.record_order(event, &by).map_err(OrderError::from),
            false => {
                self.context.refusals.count(Limit::MaxRecords);
                Err(OrderError::TooLong { max_records: self.context.max_records })
            }
        };
        self.pending_replies.push(PendingReply { answer, outcome });
    }
}

/// Where the saga stands, as the index shows it.
fn standing(state: &SagaState, definition: &Compiled) -> Standing {
    let why = state.why().map(|cause| NamedCause::of(cause, definition.engine()));
    Standing { status: state.status(), why }
}

/// A saga that needs a person is an error in the log, once it is on disk.
fn raise_alarm(definition: &Compiled, records: &[Record]) {
    for record in records {
        if let Event::Parked { step, reason } = &record.event {
            let step =
                step.map(|step| definition.engine().step(step).name.as_str()).unwrap_or_default();
            tracing::error!(
                saga.step = step,
                reason = reason.code,
                why = reason.message,
                "the saga needs a person"
            );
        }
    }
}
