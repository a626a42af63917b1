//! What a running saga records next: the engine's decisions, with the definition's expressions evaluated.

use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use definition::{Compiled, EvaluationError, Facts, Identity, Prepared, PreparedUndo};
use facade::Trace;
use http::HeaderMap;
use proto::facade::v1::Reason::MessageTooLarge;
use saga::{Command, Direction, Event, IllegalEvent, Outcome, Reason, Record, SagaState, StepId};

use super::spans::SagaSpans;
use crate::{journal::Header, metrics::Marks};

/// After what share of an evaluation's budget, in thousandths, a turn decides no more before other tasks have had theirs.
const TURN: u64 = 100;

/// A saga as its task has it in memory.
pub(crate) struct Running {
    pub(crate) clock: Clock,
    pub(crate) header: Arc<Header>,
    pub(crate) definition: Arc<Compiled>,
    pub(crate) state: Arc<SagaState>,
    /// Applied to the state, and not on disk yet.
    pub(crate) recorded: Vec<Record>,
    /// What these are counted as when they are.
    pub(crate) marks: Marks,
    /// Of a saga whose trace is exported.
    pub(crate) spans: Option<Box<SagaSpans>>,
}

/// What the saga's task does next, once the engine has nothing more to record.
pub(crate) struct NextActions {
    /// Calls that should be under way.
    pub(crate) calls: Vec<Command>,
    /// When to decide again, whatever happens.
    pub(crate) wake: Option<saga::Timestamp>,
}

impl Running {
    /// Lets the engine decide until only calls and waits are left, or until expressions have taken so long that the rest
    /// is to be decided in the next turn.
    pub(crate) fn decide_all(&mut self) -> Result<NextActions, IllegalEvent> {
        let mut used = 0;
        loop {
            // Recorded at the instant at which it was decided: a moment later an attempt may be due that was not then, and what
            // was decided does not fit any more.
            let now = self.now();
            let commands = saga::decide(self.definition.engine(), &self.state, now);
            let mut actions = NextActions { calls: Vec::new(), wake: None };
            let mut events = Vec::new();
            for command in commands {
                match command {
                    // Decided again, from where the saga stands then.
                    Command::Prepare { .. } if used >= TURN => break,
                    Command::Prepare { step, direction } => {
                        let facts = self.facts();
                        events.push(self.prepare(step, direction, &facts));
                        used += facts.used();
                    }
                    Command::Record(event) => events.push(event),
                    Command::Finish(outcome) => events.push(self.finish(outcome)),
                    Command::Call { .. } => actions.calls.push(command),
                    Command::WaitUntil(instant) => actions.wake = Some(instant),
                }
            }
            if events.is_empty() {
                return Ok(actions);
            }
            for event in events {
                let turns = matches!(event, Event::TurnedBack { .. } | Event::Parked { .. });
                self.record_at(now, event, None)?;
                if turns {
                    // The remaining events were decided for the other direction: the engine decides again.
                    break;
                }
            }
            if used >= TURN && !self.state.is_ended() {
                return Ok(NextActions { calls: Vec::new(), wake: Some(self.now()) });
            }
        }
    }

    /// Applies an event; one that is refused leaves nothing behind.
    pub(crate) fn record(&mut self, event: Event) -> Result<(), IllegalEvent> {
        self.record_at(self.now(), event, None)
    }

    /// Applies what an operator orders by the call `by`.
    pub(crate) fn record_order(&mut self, event: Event, by: &Trace) -> Result<(), IllegalEvent> {
        self.record_at(self.now(), event, Some(by))
    }

    fn record_at(
        &mut self,
        at: saga::Timestamp,
        event: Event,
        by: Option<&Trace>,
    ) -> Result<(), IllegalEvent> {
        let record = Record { seq: self.state.next_seq(), at, event };
        let state = Arc::make_mut(&mut self.state);
        self.marks.apply(state, self.definition.engine(), &record)?;
        if let Some(spans) = &mut self.spans {
            spans.record(&record, &self.state, by, self.clock.system_time());
        }
        self.recorded.push(record);
        Ok(())
    }

    pub(crate) fn now(&self) -> saga::Timestamp {
        saga::Timestamp(self.clock.now().0)
    }

    /// Evaluates what a step sends. A fault of the saga's own values is a decline of the step, and so is a request that its
    /// participant would not take.
    fn prepare(&self, step: StepId, direction: Direction, facts: &Facts<'_>) -> Event {
        let definition = &self.definition;
        match direction {
            Direction::Forward => match definition.prepare_call(step, facts) {
                Ok(Prepared::Skip) => Event::Skipped { step },
                Ok(Prepared::Request(request)) => match self.too_large(step, "", &request) {
                    Some(reason) => self.call_impossible(step, reason),
                    None => Event::CallIntended { step, request },
                },
                Err(fault) => self.call_impossible(step, failed(&fault)),
            },
            Direction::Undo => match definition.prepare_undo(step, facts) {
                Ok(PreparedUndo::Request(request)) => {
                    match self.too_large(step, "the undo of ", &request) {
                        Some(reason) => Event::Parked { step: Some(step), reason },
                        None => Event::UndoIntended { step, request },
                    }
                }
                Ok(PreparedUndo::Lookup(request)) => {
                    match self.too_large(step, "the lookup of ", &request) {
                        Some(reason) => Event::Parked { step: Some(step), reason },
                        None => Event::LookupIntended { step, request },
                    }
                }
                Ok(PreparedUndo::Attention) => {
                    Event::Parked { step: Some(step), reason: response_unknown() }
                }
                Err(fault) => Event::Parked { step: Some(step), reason: failed(&fault) },
            },
        }
    }

    /// What goes with a step's call and undo by the definition.
    pub(crate) fn metadata(&self, step: StepId) -> Result<HeaderMap, Reason> {
        match self.definition.step(step).has_metadata() {
            true => self.definition.metadata(step, &self.facts()).map_err(|fault| failed(&fault)),
            false => Ok(HeaderMap::new()),
        }
    }

    fn call_impossible(&self, step: StepId, reason: Reason) -> Event {
        match self.state.pivot_passed(self.definition.engine()) {
            false => Event::TurnedBack { cause: saga::Cause { step: Some(step), reason } },
            true => Event::Parked { step: Some(step), reason },
        }
    }

    /// Why a request is not sent that is larger than the definition says its participant takes.
    /// `which` stands before the step's name.
    fn too_large(&self, step: StepId, which: &str, request: &Bytes) -> Option<Reason> {
        let taken = self.definition.step(step).max_request?;
        (request.len() > taken.get()).then(|| {
            let name = &self.definition.engine().step(step).name;
            let why = format!(
                "the request of {which}{name} has {} bytes, and its participant takes {taken} (max_request)",
                request.len()
            );
            Reason::new(MessageTooLarge.code(), why)
        })
    }

    fn finish(&self, outcome: Outcome) -> Event {
        let definition = &self.definition;
        if outcome == Outcome::Compensated || definition.serves().is_none() {
            return Event::Finished { outcome, reply: Bytes::new() };
        }
        match definition.reply(&self.facts()) {
            Ok(reply) => Event::Finished { outcome, reply },
            Err(fault) => Event::Parked { step: None, reason: failed(&fault) },
        }
    }

    fn facts(&self) -> Facts<'_> {
        facts(&self.definition, &self.header, &self.header.request, &self.state)
    }
}

/// What the expressions of a saga may see that stands so; the `request` is what it was started with.
pub(crate) fn facts<'f>(
    definition: &'f Compiled,
    header: &'f Header,
    request: &'f [u8],
    state: &'f SagaState,
) -> Facts<'f> {
    let cause = state.cause();
    let identity = Identity {
        id: &header.saga_id,
        key: &header.key,
        reason_code: cause.map_or("", |cause| &cause.reason.code),
        reason: cause.map_or("", |cause| &cause.reason.message),
    };
    let steps = 0..definition.engine().steps().len();
    steps.filter_map(|index| u16::try_from(index).ok().map(StepId)).fold(
        definition.facts(identity, request),
        |facts, step| {
            let facts = match state.response(step) {
                Some(response) => facts.with_response(step, response),
                None => facts,
            };
            match state.found(step) {
                Some(found) => definition.with_found(facts, step, found),
                None => facts,
            }
        },
    )
}

fn response_unknown() -> Reason {
    let why = "the response of the call never came, and the call may have taken effect; the definition leaves \
               its undo to a person";
    Reason::new(proto::facade::v1::Reason::ResponseUnknown.code(), why)
}

fn failed(fault: &EvaluationError) -> Reason {
    Reason::new(proto::facade::v1::Reason::ExpressionFailed.code(), fault.to_string())
}
