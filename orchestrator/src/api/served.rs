//! A saga as a typed method: a call of the method starts the saga and waits for its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use definition::Compiled;
use facade::{Call, Decline, Failure, Reply, Trace, dynamic::Handler};
use futures::future::BoxFuture;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use proto::{canonical, facade::v1::Reason};
use saga::{SagaState, Status};

use super::{
    abandoned, archived, check_key,
    in_line::InLine,
    is_started, not_started,
    read::{self, SagaSnapshot},
    refused, retired, sentence,
};
use crate::{
    driver::{Driver, Published, Requester, Start},
    journal::{Ending, NamedCause, RemovedSaga},
    registry::{Registered, Registry},
};

const CLOSED_BY_A_PERSON: &str = "the saga was closed by a person";
const ALL_UNDONE: &str = "everything that had started is undone";
/// How long a caller without a deadline is kept waiting beyond the saga's own.
const WAIT_BEYOND_DEADLINE: Duration = Duration::from_secs(30);
/// The part of the caller's time that is reserved for looking up the saga's state and answering.
const ANSWER_MARGIN: Duration = Duration::from_millis(60);

/// Answers one method by the newest version of the definition that serves it.
pub struct Served {
    driver: Driver,
    definition: String,
    method: MethodDescriptor,
}

impl Served {
    /// Answers the method that `definition` serves.
    #[must_use]
    pub fn new(driver: Driver, definition: &Compiled, method: &MethodDescriptor) -> Arc<Self> {
        Arc::new(Self { driver, definition: definition.name().to_owned(), method: method.clone() })
    }
}

impl Handler for Served {
    fn handle(
        &self,
        call: Call,
        request: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let (driver, definition, method) =
            (self.driver.clone(), self.definition.clone(), self.method.clone());
        Box::pin(async move {
            let registered = serving(driver.registry(), &definition, &method)?;
            answer(&driver, &registered, &method, &call, request).await
        })
    }
}

/// The newest version of the definition, which serves the method unless that was retired.
fn serving(
    registry: &Registry,
    definition: &str,
    method: &MethodDescriptor,
) -> Result<Registered, Failure> {
    let unknown = || {
        let message = format!("no definition {definition} that serves this method is registered");
        Failure::new(Reason::DefinitionUnknown, message)
    };
    let newest = registry.find(definition, 0).ok_or_else(unknown)?;
    if newest.compiled.serves().is_some_and(|served| served.full_name() == method.full_name()) {
        return Ok(newest);
    }
    let old = registry.find_serving(definition, method.full_name()).ok_or_else(unknown)?;
    Err(retired(&old, &newest))
}

async fn answer(
    driver: &Driver,
    registered: &Registered,
    method: &MethodDescriptor,
    call: &Call,
    request: DynamicMessage,
) -> Result<Reply<DynamicMessage>, Failure> {
    let definition = &registered.compiled;
    // What nobody here knows would be journaled, and told to nobody.
    let request: Bytes = canonical::encode(canonical::known(request)).into();
    let key = definition
        .key(&request)
        .map_err(|fault| Failure::invalid("", fault.to_string()))?
        .map_or(Ok(String::new()), |key| check_key("key", key))?;
    if registered.is_archived() && !is_started(driver, definition.name(), &key).await? {
        return Err(archived(registered));
    }
    let limit = match call.limit() {
        Some(limit) => limit.saturating_sub(ANSWER_MARGIN.min(limit / 4)),
        None => definition.engine().deadline() + WAIT_BEYOND_DEADLINE,
    };
    // Whatever waits for the disk leaves only the rest of the caller's time.
    let remaining = || limit.saturating_sub(call.elapsed());
    let requester = Requester { peer: call.caller().peer, waits: true, rest: Some(remaining()) };
    let compiled = Arc::clone(definition);
    let start = driver.start(compiled, key.clone(), request, call.trace(), &requester);
    let started = start.await.map_err(not_started)?;
    let saga_id = match started {
        Start::New { saga_id, handle } => {
            match read::reached(driver, &handle, ended_or_needs_a_person, remaining()).await {
                Some(Published { end: Some(state), .. }) => {
                    let ending = ending(&state, definition.engine(), &call.trace().id());
                    return reply(method, &saga_id, &ending);
                }
                Some(Published { standing, .. }) => {
                    return Err(needs_a_person(&saga_id, standing.why.as_ref()));
                }
                None => saga_id,
            }
        }
        Start::Already { saga_id } => saga_id,
        Start::Removed(RemovedSaga { saga_id, ending }) => return reply(method, &saga_id, &ending),
        Start::Refused(refusal) => return Err(refused(refusal)),
        Start::Abandoned => return Err(abandoned()),
        Start::KeyReused => {
            let sentence = "another request was sent under this idempotency key";
            return Err(Failure::new(Reason::KeyReused, sentence));
        }
    };
    // Boxed, because few callers get here, and the others need no memory for this future.
    Box::pin(read::wait(driver, &saga_id, ended_or_needs_a_person, remaining())).await;
    let Some(found) = Box::pin(read::look_up(driver, &saga_id)).await? else {
        // Retention removed it after the start was refused, or somebody deleted it.
        let removed = driver.journal().removed_saga(definition.name(), &key).await;
        return match removed.map_err(Failure::unavailable)? {
            Some(RemovedSaga { saga_id, ending }) => reply(method, &saga_id, &ending),
            None => Err(read::missing_saga(&saga_id)),
        };
    };
    let trace = Trace::id_of(&found.index_row.header.trace);
    match (&found.history, found.status()) {
        (Some(history), status) if status.is_ended() => reply(
            method,
            &saga_id,
            &ending(&history.replayer.state, history.definition.engine(), trace),
        ),
        (None, Status::Resolved) => {
            let decline = Decline::new(Reason::SagaState, CLOSED_BY_A_PERSON);
            Ok(declined(method, &saga_id, trace, decline))
        }
        (None, status) if status.is_ended() => {
            Err(unreadable(&saga_id, found.index_row.aside.as_ref()))
        }
        (_, Status::Attention) => {
            let aside = found.index_row.aside.clone();
            let aside = aside.map(|reason| NamedCause { reason, step: String::new() });
            Err(needs_a_person(&saga_id, aside.as_ref().or(found.index_row.standing.why.as_ref())))
        }
        _ => Err(still_running(driver, &saga_id, &found)),
    }
}

/// The states that end a caller's wait: while a saga needs a person, nobody knows when it goes on.
fn ended_or_needs_a_person(status: Status) -> bool {
    status.is_ended() || status == Status::Attention
}

/// How a saga ended.
fn ending(state: &SagaState, definition: &saga::Definition, trace_id: &str) -> Ending {
    let why = state.cause().map(|cause| NamedCause::of(cause, definition));
    let reply = state.reply().cloned().unwrap_or_default();
    Ending { status: state.status(), reply, why, trace_id: trace_id.to_owned() }
}

/// What the caller is told of a saga that has ended.
fn reply(
    method: &MethodDescriptor,
    saga_id: &str,
    ending: &Ending,
) -> Result<Reply<DynamicMessage>, Failure> {
    if ending.status != Status::Succeeded {
        let step = ending.why.as_ref().map_or("", |why| &why.step);
        let declined = declined(method, saga_id, &ending.trace_id, decline(ending));
        return Ok(declined.with_fact("step", step));
    }
    if let Some(why) = &ending.why {
        return Err(unreadable(saga_id, Some(&why.reason)));
    }
    let mut message = DynamicMessage::new(method.output());
    message.merge(ending.reply.clone()).map_err(Failure::internal)?;
    set_saga_id(&mut message, saga_id);
    Ok(Reply::from(message).first_given_in(&ending.trace_id))
}

/// Why the saga did not do what was asked, naming the step that made it turn back, where there is one.
fn decline(ending: &Ending) -> Decline {
    match &ending.why {
        _ if ending.status == Status::Resolved => {
            Decline::new(Reason::SagaState, CLOSED_BY_A_PERSON)
        }
        None => Decline::new(Reason::SagaState, ALL_UNDONE),
        Some(NamedCause { reason, step }) => {
            let at = if step.is_empty() { String::new() } else { format!("{step}: ") };
            Decline {
                code: reason.code.clone(),
                message: format!("{at}{}; {ALL_UNDONE}", reason.message),
            }
        }
    }
}

/// The failure for a saga that has ended, but whose journal cannot be read.
fn unreadable(saga_id: &str, why: Option<&saga::Reason>) -> Failure {
    let why = why.map(ToString::to_string).unwrap_or_default();
    let message = format!("the saga {saga_id} has ended, and its journal cannot be read: {why}");
    Failure::new(Reason::JournalUnreadable, message).with_fact("saga_id", saga_id)
}

fn needs_a_person(saga_id: &str, why: Option<&NamedCause>) -> Failure {
    let (step, reason) = match why {
        Some(NamedCause { reason, step }) => (step.as_str(), reason.to_string()),
        None => ("", String::new()),
    };
    let at = if step.is_empty() { String::new() } else { format!("{step}: ") };
    let message = format!(
        "the saga {saga_id} needs a person before it goes on: {at}{reason}; ask again with the same request for its end"
    );
    Failure::new(Reason::SagaAttention, message)
        .with_fact("saga_id", saga_id)
        .with_fact("saga_state", Status::Attention.as_str())
        .with_fact("step", step)
}

fn declined(
    method: &MethodDescriptor,
    saga_id: &str,
    trace: &str,
    decline: Decline,
) -> Reply<DynamicMessage> {
    let mut message = DynamicMessage::new(method.output());
    set_saga_id(&mut message, saga_id);
    Reply::from(message).first_given_in(trace).declined(decline).with_fact("saga_id", saga_id)
}

/// The failure for a caller whose time is over while its saga goes on.
fn still_running(driver: &Driver, saga_id: &str, found: &SagaSnapshot) -> Failure {
    let (now, in_line) = (driver.clock().now(), InLine::of(found, driver));
    let state = found.status().as_str();
    let stands = match (&found.index_row.aside, &found.history) {
        (None, Some(history)) => {
            let standing = sentence::standing(history, &in_line, now);
            standing.unwrap_or_else(|| sentence::next(history, &in_line, now))
        }
        (aside, _) => aside.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let (reason, goes_on) = match driver.is_halted() {
        true => (Reason::Unavailable, "goes on when this node is started again"),
        false => (Reason::DeadlinePassed, "goes on"),
    };
    let message = format!(
        "the saga {saga_id} {goes_on} and stands in {state}: {stands}; ask again with the same request for its end"
    );
    Failure::new(reason, message).with_fact("saga_id", saga_id).with_fact("saga_state", state)
}

/// Sets the response's `saga_id`, where it has such a field.
fn set_saga_id(message: &mut DynamicMessage, saga_id: &str) {
    let _ = message.try_set_field_by_name("saga_id", Value::String(saga_id.to_owned()));
}
