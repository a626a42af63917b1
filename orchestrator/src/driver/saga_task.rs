//! One saga's task: decide, journal, call, journal.
//!
//! The engine decides and this carries out. Nothing is acted on before it is on disk: all that a turn of the loop
//! records goes into one append, and only then are its calls made. When an append fails the task ends, for only the
//! journal can tell what became of it; recovery reads it and takes the saga up again.

use std::{collections::HashSet, sync::Arc, time::Duration};

use facade::Trace;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use planted::Bug;
use rand::Rng;
use saga::{Answer, Command, Direction, Event, Jitter, Outcome, Reason, Record, SagaState, StepId};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    live::{Order, OrderError},
};
use crate::{
    definition::{Compiled, Facts, Identity, Prepared},
    journal::{self, Header, Link},
    outbound::Attempt,
};

/// What an attempt gets at least that begins right before the saga's deadline.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(100);

/// Why a task ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The saga has.
    Saga,
    /// The process is stopping; the saga stands in the journal.
    Stopping,
    /// The journal failed: only reading it tells where the saga stands.
    Journal(journal::Error),
    /// The engine refused what it had decided itself: a bug, and the saga must not go on by it.
    Engine(saga::IllegalEvent),
}

type Answered = (StepId, Direction, Answer);

/// An operator who is answered after the next append: what an order came to may rest on records that are not on disk.
struct Promise {
    answer: oneshot::Sender<Result<Arc<SagaState>, OrderError>>,
    outcome: Result<(), saga::IllegalEvent>,
}

pub(crate) struct SagaTask {
    pub(crate) context: Arc<Context>,
    pub(crate) header: Arc<Header>,
    pub(crate) definition: Arc<Compiled>,
    pub(crate) state: SagaState,
    pub(crate) link: Link,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) published: watch::Sender<Arc<SagaState>>,
    pub(crate) stop: CancellationToken,
}

impl SagaTask {
    /// Runs the saga until it ends, the process stops, or the journal fails.
    pub(crate) async fn run(self) -> Ended {
        let recorded = Vec::new();
        Turn {
            trace: Trace::resume(&self.header.trace),
            task: self,
            recorded,
            promises: Vec::new(),
            calling: HashSet::new(),
            calls: FuturesUnordered::new(),
        }
        .run()
        .await
    }
}

/// The task with what one turn of its loop gathers.
struct Turn {
    task: SagaTask,
    trace: Trace,
    /// Applied to the state, and not on disk yet.
    recorded: Vec<Record>,
    /// Operators who are answered when it is.
    promises: Vec<Promise>,
    calling: HashSet<(StepId, Direction)>,
    calls: FuturesUnordered<BoxFuture<'static, Answered>>,
}

impl Turn {
    async fn run(mut self) -> Ended {
        loop {
            let (calls, wake) = match self.settle() {
                Ok(settled) => settled,
                Err(refused) => return Ended::Engine(refused),
            };
            if planted::is(Bug::CallBeforeJournal) {
                calls.iter().cloned().for_each(|call| self.launch(call));
                tokio::task::yield_now().await;
            }
            if let Err(error) = self.append().await {
                return Ended::Journal(error);
            }
            if self.task.state.is_ended() {
                return Ended::Saga;
            }
            let stopping = self.task.stop.is_cancelled();
            if !stopping {
                for call in calls {
                    self.launch(call);
                }
            } else if self.calls.is_empty() {
                return Ended::Stopping;
            }
            if let Err(refused) = self.wait(wake, stopping).await {
                return Ended::Engine(refused);
            }
        }
    }

    /// Lets the engine decide until only calls and waits are left.
    fn settle(&mut self) -> Result<(Vec<Command>, Option<saga::Timestamp>), saga::IllegalEvent> {
        loop {
            let now = self.now();
            let commands = saga::decide(self.task.definition.engine(), &self.task.state, now);
            let mut calls = Vec::new();
            let mut wake = None;
            let mut events = Vec::new();
            for command in commands {
                match command {
                    Command::Prepare { step, direction } => {
                        events.push(self.prepare(step, direction))
                    }
                    Command::Record(event) => events.push(event),
                    Command::Finish(outcome) => events.push(self.finish(outcome)),
                    Command::Call { .. } => calls.push(command),
                    Command::WaitUntil(instant) => wake = Some(instant),
                }
            }
            if events.is_empty() {
                return Ok((calls, wake));
            }
            for event in events {
                let turns = matches!(event, Event::TurnedBack { .. } | Event::Parked { .. });
                self.record(event)?;
                if turns {
                    // What else was prepared in this round was prepared for another way: decided anew.
                    break;
                }
            }
        }
    }

    /// Evaluates what a step sends. A fault of the saga's own values is a decline of the step.
    fn prepare(&self, step: StepId, direction: Direction) -> Event {
        let definition = &self.task.definition;
        let facts = self.facts();
        match direction {
            Direction::Forward => match definition.prepare_call(step, &facts) {
                Ok(Prepared::Skip) => Event::Skipped { step },
                Ok(Prepared::Request(request)) => Event::CallIntended { step, request },
                Err(fault) => match self.task.state.pivot_passed(definition.engine()) {
                    false => Event::TurnedBack {
                        cause: saga::Cause { step: Some(step), reason: failed(&fault) },
                    },
                    true => Event::Parked { step: Some(step), reason: failed(&fault) },
                },
            },
            Direction::Undo => match definition.prepare_undo(step, &facts) {
                Ok(request) => Event::UndoIntended { step, request },
                Err(fault) => Event::Parked { step: Some(step), reason: failed(&fault) },
            },
        }
    }

    fn finish(&self, outcome: Outcome) -> Event {
        let definition = &self.task.definition;
        if outcome == Outcome::Compensated || definition.serves().is_none() {
            return Event::Finished { outcome, reply: bytes::Bytes::new() };
        }
        match definition.reply(&self.facts()) {
            Ok(reply) => Event::Finished { outcome, reply },
            Err(fault) => Event::Parked { step: None, reason: failed(&fault) },
        }
    }

    fn facts(&self) -> Facts<'_> {
        let SagaTask { header, definition, state, .. } = &self.task;
        let cause = state.cause();
        let identity = Identity {
            id: &header.saga_id,
            key: &header.key,
            reason_code: cause.map_or("", |cause| &cause.reason.code),
            reason: cause.map_or("", |cause| &cause.reason.message),
        };
        let steps = 0..definition.engine().steps().len();
        steps.filter_map(|index| u16::try_from(index).ok().map(StepId)).fold(
            definition.facts(identity, &header.request),
            |facts, step| match state.response(step) {
                Some(response) => facts.with_response(step, response),
                None => facts,
            },
        )
    }

    fn record(&mut self, event: Event) -> Result<(), saga::IllegalEvent> {
        let record = Record { seq: self.task.state.next_seq(), at: self.now(), event };
        self.task.state =
            saga::apply(self.task.state.clone(), self.task.definition.engine(), &record)?;
        self.recorded.push(record);
        Ok(())
    }

    /// Puts what was recorded on disk, then tells everybody who waits for it.
    async fn append(&mut self) -> Result<(), journal::Error> {
        if !self.recorded.is_empty() {
            let records = std::mem::take(&mut self.recorded);
            let (entries, link) = journal::record::encode_all(&records, self.task.link);
            let status = self.task.state.status();
            let changed = (status != self.task.published.borrow().status()).then_some(status);
            let appended =
                self.task.context.journal.append(&self.task.header.saga_id, entries, changed).await;
            if let Err(error) = appended {
                for promise in self.promises.drain(..) {
                    let _ = promise.answer.send(Err(OrderError::Journal(error.clone())));
                }
                return Err(error);
            }
            self.task.link = link;
            raise_alarm(&self.task.definition, &records);
            self.task.published.send_replace(Arc::new(self.task.state.clone()));
        }
        for promise in self.promises.drain(..) {
            let state = Arc::clone(&self.task.published.borrow());
            // The operator may have gone away; the order stands.
            let _ = promise.answer.send(promise.outcome.map(|()| state).map_err(OrderError::from));
        }
        Ok(())
    }

    fn launch(&mut self, command: Command) {
        let Command::Call { step, direction, attempt, request, durable } = command else { return };
        debug_assert!(
            durable < self.task.state.next_seq(),
            "the engine asks for a record that is not there"
        );
        if !self.calling.insert((step, direction)) {
            return;
        }
        let definition = Arc::clone(&self.task.definition);
        let (context, header) = (Arc::clone(&self.task.context), Arc::clone(&self.task.header));
        let trace = self.trace.clone();
        let rest = self.rest(direction);
        let call = async move {
            let compiled = definition.step(step);
            let target = match direction {
                Direction::Forward => Some(&compiled.call),
                Direction::Undo => compiled.undo.as_ref(),
            };
            let Some(target) = target else {
                return (
                    step,
                    direction,
                    Answer::Unusable(Reason::new("NO_UNDO", "the step has no undo")),
                );
            };
            let rules = definition.engine().step(step);
            let attempt = Attempt {
                saga_id: &header.saga_id,
                step: &rules.name,
                direction,
                number: attempt,
                target,
                request,
                timeout: rules.timeout.min(rest),
                overrides: &compiled.answers,
            };
            (step, direction, attempt.make(&context.participants, &trace).await)
        };
        self.calls.push(call.boxed());
    }

    /// How long an attempt may take at most: a call that the saga's deadline will turn back is not waited for beyond it.
    /// An undo has the time that it needs.
    fn rest(&self, direction: Direction) -> Duration {
        let SagaTask { definition, state, .. } = &self.task;
        match direction {
            Direction::Forward if state.can_turn_back(definition.engine()) => {
                state.deadline().since(self.now()).max(SHORTEST_ATTEMPT)
            }
            _ => Duration::MAX,
        }
    }

    /// Waits until something happens, and takes all that has happened.
    async fn wait(
        &mut self,
        wake: Option<saga::Timestamp>,
        stopping: bool,
    ) -> Result<(), saga::IllegalEvent> {
        let context = Arc::clone(&self.task.context);
        let woken = async {
            match wake {
                Some(instant) if !stopping => {
                    context.clock.sleep_until(clock::Timestamp(instant.0)).await
                }
                _ => std::future::pending().await,
            }
        };
        let stop = self.task.stop.clone();
        let stopped = async {
            if stopping {
                std::future::pending::<()>().await;
            }
            stop.cancelled().await;
        };
        tokio::select! {
            Some(answered) = self.calls.next() => self.answered(answered)?,
            Some(order) = self.task.orders.recv() => self.obey(order),
            () = woken => {}
            () = stopped => {}
        }
        while let Some(Some(answered)) = self.calls.next().now_or_never() {
            self.answered(answered)?;
        }
        while let Ok(order) = self.task.orders.try_recv() {
            self.obey(order);
        }
        Ok(())
    }

    fn answered(&mut self, (step, direction, answer): Answered) -> Result<(), saga::IllegalEvent> {
        self.calling.remove(&(step, direction));
        if self.task.state.is_ended() {
            // An operator closed the saga while the call was under way.
            return Ok(());
        }
        let jitter = Jitter(rand::rng().random());
        self.record(match direction {
            Direction::Forward => Event::CallAnswered { step, answer, jitter },
            Direction::Undo => Event::UndoAnswered { step, answer, jitter },
        })
    }

    /// An operator's order is refused by the engine's own rules, and leaves nothing behind then.
    fn obey(&mut self, order: Order) {
        let Order { event, answer } = order;
        let outcome = self.record(event);
        self.promises.push(Promise { answer, outcome });
    }

    fn now(&self) -> saga::Timestamp {
        saga::Timestamp(self.task.context.clock.now().0)
    }
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

fn failed(fault: &crate::definition::Fault) -> Reason {
    Reason::new(proto::facade::v1::Reason::ExpressionFailed.code(), fault.to_string())
}
