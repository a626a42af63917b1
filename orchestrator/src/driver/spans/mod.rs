//! The spans of a saga: what a collector is told of it.
//!
//! `saga.start` stands below the call that started the saga; below it are its slices, `saga.run DEFINITION`, each from
//! where the saga has something to do to where it only waits; below each slice the attempts that began in it; and at the
//! end `saga.summary`, from start to end. What a span is, and when one ends, follows from the records. So the node that
//! takes a saga up finds by reading its journal which spans the one before gave, and which it did not come to tell.
//!
//! Nothing is told before it is on disk, and a slice is told with its attempts when it ends: a node that stops in the
//! middle of one has told nothing of it, and the next one tells it all, each span once and under the id that went out with
//! its call. All this is done for sagas whose traces are exported; others only have their attempts' ids.

mod attributes;
mod ids;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use definition::{Compiled, Method};
use facade::{
    Trace,
    trace::{Link, Past, SpanId, SpanKind, TraceId},
};
use saga::{
    Answer, Command, Direction, Event, Outcome, Record, SagaState, Status, StepId, Timestamp,
    UnderWay, decide,
};
use tonic::Code;

use self::attributes::{ERROR_OF_A_LOST_SPAN, Named};
pub(crate) use self::ids::SpanIds;
use crate::journal::Header;

/// A saga that is older than this when a slice begins goes on in a trace of its own: collectors and people look at a trace
/// as one piece of work of some minutes.
const MAX_TRACE_AGE: Duration = Duration::from_mins(10);
/// A slice ends at the first record after this, so that what was done shows while a saga is at work.
const MAX_SLICE: Duration = Duration::from_secs(10);

/// The spans of one saga whose trace is exported.
#[derive(Clone, Debug)]
pub(crate) struct SagaSpans {
    header: Arc<Header>,
    definition: Arc<Compiled>,
    ids: SpanIds,
    /// The call that started the saga.
    caller: Trace,
    /// `saga.start`; `None` for a saga that was started when none was told.
    start: Option<Trace>,
    slice: Option<Slice>,
    previous: Option<Trace>,
    under_way: Vec<Begun>,
    /// The last attempt of each step in each direction.
    last: Vec<[Option<Trace>; 2]>,
    /// Attempts that have ended in this slice.
    ended: Vec<Past>,
    /// Of slices that have ended, and not told yet.
    untold: Vec<Past>,
}

#[derive(Clone, Debug)]
struct Slice {
    trace: Trace,
    is_first: bool,
    since: Timestamp,
    start: SystemTime,
    links: Vec<Link>,
}

/// An attempt that is under way.
#[derive(Clone, Debug)]
struct Begun {
    attempt: UnderWay,
    method: Method,
    trace: Trace,
    start: SystemTime,
    links: Vec<Link>,
    end: Option<End>,
}

/// How an attempt ended, where this process made it.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) at: SystemTime,
    /// `None` where it was not sent.
    pub(crate) status: Option<Code>,
    /// Where the participant is reached over the network.
    pub(crate) server: Option<String>,
}

impl SagaSpans {
    /// Of the saga that was started by the call `caller`. `None` where its trace is not exported. No record has been followed
    /// yet.
    pub(crate) fn of(
        caller: &Trace,
        header: &Arc<Header>,
        definition: &Arc<Compiled>,
    ) -> Option<Box<Self>> {
        caller.is_exported().then(|| {
            let ids = SpanIds::of(&header.saga_id);
            let place = || caller.below(SpanId::from(ids.start()));
            let start = Trace::span_id_of(&header.trace).map(|_| place());
            Box::new(Self {
                header: Arc::clone(header),
                definition: Arc::clone(definition),
                ids,
                caller: caller.clone(),
                start,
                slice: None,
                previous: None,
                under_way: Vec::new(),
                last: vec![[None, None]; definition.engine().steps().len()],
                ended: Vec::new(),
                untold: Vec::new(),
            })
        })
    }

    /// An attempt begins at `now`; gives its place, which goes out with it.
    pub(crate) fn begin(&mut self, state: &SagaState, attempt: UnderWay, now: SystemTime) -> Trace {
        let slice = self.slice(state.next_seq(), attempt.since, now);
        let UnderWay { step, direction, follows, .. } = attempt;
        let trace = slice.below(SpanId::from(self.ids.attempt(step, direction, follows)));
        let method = method(state, step, direction);
        let [call, undo] = &self.last[usize::from(step.0)];
        let links = match direction {
            Direction::Forward => [call.as_ref().map(|before| before.link("retry_of")), None],
            Direction::Undo => {
                let undone = call.as_ref().filter(|_| method == Method::Undo);
                [
                    undo.as_ref().map(|before| before.link("retry_of")),
                    undone.map(|undone| undone.link("compensates")),
                ]
            }
        };
        let links = links.into_iter().flatten().collect();
        let begun = Begun { attempt, method, trace: trace.clone(), start: now, links, end: None };
        self.under_way.push(begun);
        trace
    }

    /// This process' attempt has ended. What it came to is told by its record.
    pub(crate) fn end(&mut self, step: StepId, direction: Direction, end: End) {
        if let Some(begun) = self.find(step, direction) {
            self.under_way[begun].end = Some(end);
        }
    }

    /// The record was applied at `now`, and `state` is what it came to. `by` is the call of the operator who ordered it.
    pub(crate) fn record(
        &mut self,
        record: &Record,
        state: &SagaState,
        by: Option<&Trace>,
        now: SystemTime,
    ) {
        if matches!(record.event, Event::Recovered { .. }) {
            return self.lost(state, now);
        }
        self.slice(record.seq, record.at, now);
        if let (Some(slice), Some(by)) = (&mut self.slice, by) {
            slice.links.push(by.link("operator"));
        }
        match &record.event {
            Event::CallAnswered { step, answer, .. } => {
                self.answered(*step, Direction::Forward, answer, now);
            }
            Event::UndoAnswered { step, answer, .. }
            | Event::LookupAnswered { step, answer, .. } => {
                self.answered(*step, Direction::Undo, answer, now);
            }
            // An undo is no retry of the lookup that it is made by.
            Event::UndoIntended { step, .. } | Event::LookupIntended { step, .. } => {
                self.last[usize::from(step.0)][1] = None;
            }
            _ => {}
        }
        self.end_slice(record, state, now);
    }

    /// A slice ends where the saga has nothing to do, or after some time.
    fn end_slice(&mut self, record: &Record, state: &SagaState, now: SystemTime) {
        if state.is_ended() {
            // A person has closed the saga beside them: nobody waits for their answers.
            self.end_under_way(attributes::CANCELLED, now);
            self.close(state, None, now);
            return self.summarize(record, state, now);
        }
        let engine = self.definition.engine();
        let commands = decide(engine, state, record.at);
        let waits = commands.iter().all(|command| matches!(command, Command::WaitUntil(_)));
        let is_long =
            self.slice.as_ref().is_some_and(|slice| record.at.since(slice.since) >= MAX_SLICE);
        if waits || is_long {
            self.close(state, None, now);
        }
    }

    /// The node that ran the saga has stopped: nobody knows what became of its calls.
    fn lost(&mut self, state: &SagaState, now: SystemTime) {
        self.end_under_way(ERROR_OF_A_LOST_SPAN, now);
        match self.slice {
            Some(_) => self.close(state, Some(ERROR_OF_A_LOST_SPAN), now),
            None => self.untold.append(&mut self.ended),
        }
    }

    /// Where the slice is that the saga is in: a new one begins with what is done or recorded next.
    fn slice(&mut self, first: u64, since: Timestamp, now: SystemTime) -> Trace {
        if let Some(slice) = &self.slice {
            return slice.trace.clone();
        }
        let id = SpanId::from(self.ids.slice(first));
        let started_at = Timestamp(self.header.created_at.0);
        let (caller, start) = (&self.caller, self.start.as_ref());
        let mut links = Vec::new();
        let trace = match start {
            _ if since.since(started_at) >= MAX_TRACE_AGE => {
                links.extend(start.map(|start| start.link("started_by")));
                caller.linked(TraceId::from(self.ids.trace(first)), id)
            }
            Some(start) => start.below(id),
            None => caller.linked(caller.trace_id(), id),
        };
        links.extend(self.previous.as_ref().map(|before| before.link("resumed_from")));
        let is_first = first == 0;
        let slice = Slice { trace: trace.clone(), is_first, since, start: now, links };
        self.slice = Some(slice);
        trace
    }

    fn find(&self, step: StepId, direction: Direction) -> Option<usize> {
        let is_it =
            |begun: &Begun| begun.attempt.step == step && begun.attempt.direction == direction;
        self.under_way.iter().position(is_it)
    }

    fn answered(&mut self, step: StepId, direction: Direction, answer: &Answer, now: SystemTime) {
        if let Some(begun) = self.find(step, direction) {
            let begun = self.under_way.swap_remove(begun);
            self.end_attempt(begun, Some(answer), None, now);
        }
    }

    fn end_under_way(&mut self, error: &'static str, now: SystemTime) {
        for begun in std::mem::take(&mut self.under_way) {
            self.end_attempt(begun, None, Some(error), now);
        }
    }

    fn end_attempt(
        &mut self,
        begun: Begun,
        answer: Option<&Answer>,
        error: Option<&'static str>,
        now: SystemTime,
    ) {
        let Begun { attempt, method, trace, start, links, end } = begun;
        let direction = usize::from(attempt.direction == Direction::Undo);
        self.last[usize::from(attempt.step.0)][direction] = Some(trace.clone());
        let step = self.definition.step(attempt.step);
        let target = step.target(method).map(|target| target.path.path().trim_start_matches('/'));
        let target = target.unwrap_or("_OTHER").to_owned();
        let status = end.as_ref().and_then(|end| end.status);
        let mut attributes = self.named().attempt(&attempt, method, &target);
        attributes.extend(answer.into_iter().flat_map(attributes::answer));
        attributes.extend(end.as_ref().into_iter().flat_map(attributes::end));
        self.ended.push(Past {
            trace,
            name: target.into(),
            kind: SpanKind::Client,
            start,
            end: end.map_or(now, |end| end.at),
            attributes,
            links,
            error: error.or_else(|| attributes::error_of(answer?, status)),
        });
    }

    fn close(&mut self, state: &SagaState, error: Option<&'static str>, now: SystemTime) {
        self.untold.append(&mut self.ended);
        let Some(slice) = self.slice.take() else { return };
        let Slice { trace, is_first, start, links, .. } = slice;
        if let Some(place) = self.start.clone().filter(|_| is_first) {
            self.untold.push(self.internal(place, "saga.start".to_owned(), (start, start)));
        }
        let needs_person = || match state.status() {
            Status::Attention => state.why().map(|why| attributes::code(&why.reason.code)),
            _ => None,
        };
        let mut past = self.internal(
            trace.clone(),
            format!("saga.run {}", self.header.definition),
            (start, now),
        );
        past.attributes.push(attributes::state(state.status()));
        past.links = links;
        past.error = error.or_else(needs_person);
        self.untold.push(past);
        self.previous = Some(trace);
    }

    /// Tells the saga as a whole.
    fn summarize(&mut self, record: &Record, state: &SagaState, now: SystemTime) {
        let Some(start) = &self.start else { return };
        let place = start.below(SpanId::from(self.ids.summary()));
        let began = system_time(Timestamp(self.header.created_at.0));
        let mut summary = self.internal(place, "saga.summary".to_owned(), (began, now));
        let outcome = match &record.event {
            Event::Finished { outcome: Outcome::Succeeded, .. } => "succeeded",
            Event::Finished { outcome: Outcome::Compensated, .. } => "compensated",
            _ => "resolved",
        };
        summary.attributes.extend(attributes::outcome(outcome, state.why()));
        self.untold.push(summary);
    }

    fn internal(&self, trace: Trace, name: String, times: (SystemTime, SystemTime)) -> Past {
        Past {
            trace,
            name: name.into(),
            kind: SpanKind::Internal,
            start: times.0,
            end: times.1,
            attributes: self.named().saga(),
            links: Vec::new(),
            error: None,
        }
    }

    fn named(&self) -> Named<'_> {
        Named { header: &self.header, definition: &self.definition }
    }

    /// What was recorded is on disk: tells the slices that have ended.
    pub(crate) fn tell(&mut self) {
        self.untold.drain(..).for_each(Past::export);
    }

    /// A record of before is read, which the state is to have applied next: whatever was under way by then began before.
    pub(crate) fn read(&mut self, state: &SagaState, at: Timestamp) {
        let begun = state.under_way(at);
        let begun = begun.filter(|attempt| self.find(attempt.step, attempt.direction).is_none());
        let mut begun: Vec<_> = begun.collect();
        begun.sort_by_key(|attempt| attempt.since);
        for attempt in begun {
            self.begin(state, attempt, system_time(attempt.since));
        }
    }

    /// The record of before was applied. The node of then has told what it came to.
    pub(crate) fn was_told(&mut self, record: &Record, state: &SagaState) {
        self.record(record, state, None, system_time(record.at));
        self.untold.clear();
    }
}

/// Which method an attempt calls that begins now.
pub(crate) fn method(state: &SagaState, step: StepId, direction: Direction) -> Method {
    match direction {
        Direction::Forward => Method::Call,
        Direction::Undo if state.looks_up(step) => Method::Lookup,
        Direction::Undo => Method::Undo,
    }
}

/// An instant of the journal.
fn system_time(Timestamp(at): Timestamp) -> SystemTime {
    clock::Timestamp(at).into()
}
