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
    overloaded,
    read::{self, Found},
    sentence,
};
use crate::driver::{Driver, Start};

const CLOSED: &str = "the saga was closed by a person";
/// How long a caller without a deadline is kept waiting beyond the saga's own.
const BEYOND_DEADLINE: Duration = Duration::from_secs(30);
/// What is kept of the caller's time to look up where the saga stands.
const TO_ANSWER: Duration = Duration::from_millis(60);

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
            let newest = driver.registry().find_serving(&definition, method.full_name());
            let registered = newest.ok_or_else(|| {
                Failure::new(
                    Reason::DefinitionUnknown,
                    format!("no definition {definition} that serves this method is registered"),
                )
            })?;
            answer(&driver, registered.compiled, &method, &call, request).await
        })
    }
}

async fn answer(
    driver: &Driver,
    definition: Arc<Compiled>,
    method: &MethodDescriptor,
    call: &Call,
    request: DynamicMessage,
) -> Result<Reply<DynamicMessage>, Failure> {
    let request: Bytes = canonical::encode(request).into();
    let key = definition
        .key(&request)
        .map_err(|fault| Failure::invalid("", fault.to_string()))?
        .unwrap_or_default();
    let limit = match call.limit() {
        Some(limit) => limit.saturating_sub(TO_ANSWER.min(limit / 4)),
        None => definition.engine().deadline() + BEYOND_DEADLINE,
    };
    let start = driver.start(Arc::clone(&definition), key, request, call.trace());
    let started = start.await.map_err(Failure::unavailable)?;
    // The start waited for the disk: only the rest of the caller's time is left.
    let rest = || limit.saturating_sub(driver.clock().now().since(call.arrived()));
    let saga_id = match started {
        Start::New { saga_id, handle } => {
            if let Some(state) = read::end_of(driver, &handle, rest()).await {
                let (definition, trace) = (definition.engine(), call.trace().id());
                let end = End { saga_id: &saga_id, trace: &trace, definition, state: &state };
                return end.reply(method);
            }
            saga_id
        }
        Start::Already { saga_id } => saga_id,
        Start::Overloaded => return Err(overloaded()),
        Start::KeyReused => {
            let sentence = "another request was sent under this idempotency key";
            return Err(Failure::new(Reason::KeyReused, sentence));
        }
    };
    // Boxed: few callers come here, and the others need no room for it.
    Box::pin(read::wait(driver, &saga_id, rest())).await;
    let found = Box::pin(read::find(driver, &saga_id)).await?;
    let trace = Trace::id_of(&found.listed.header.trace);
    match (&found.story, found.status()) {
        (Some(story), status) if status.is_ended() => {
            let definition = story.definition.engine();
            End { saga_id: &saga_id, trace, definition, state: &story.state }.reply(method)
        }
        (None, Status::Resolved) => {
            let decline = Decline::new(Reason::SagaState, CLOSED);
            Ok(declined(method, &saga_id, trace, decline))
        }
        _ => Err(still_going(driver, &saga_id, &found)),
    }
}

/// A saga that has ended, as its caller is told.
struct End<'a> {
    saga_id: &'a str,
    trace: &'a str,
    definition: &'a saga::Definition,
    state: &'a SagaState,
}

impl End<'_> {
    fn reply(&self, method: &MethodDescriptor) -> Result<Reply<DynamicMessage>, Failure> {
        if self.state.status() != Status::Succeeded {
            let step = self.state.cause().and_then(|cause| cause.step);
            let step = step.map_or("", |step| &self.definition.step(step).name);
            let declined = declined(method, self.saga_id, self.trace, self.decline(step));
            return Ok(declined.with_fact("step", step));
        }
        let mut message = DynamicMessage::new(method.output());
        let encoded = self.state.reply().cloned().unwrap_or_default();
        message.merge(encoded).map_err(Failure::internal)?;
        set_saga_id(&mut message, self.saga_id);
        Ok(Reply::from(message).first_given_in(self.trace))
    }

    /// Why the saga did not do what was asked, naming the step that made it turn back, where there is one.
    fn decline(&self, step: &str) -> Decline {
        let ending = match self.state.status() {
            Status::Resolved => CLOSED,
            _ => "everything that had started is undone",
        };
        let Some(cause) = self.state.cause() else {
            return Decline::new(Reason::SagaState, ending);
        };
        let at = if step.is_empty() { String::new() } else { format!("{step}: ") };
        Decline {
            code: cause.reason.code.clone(),
            message: format!("{at}{}; {ending}", cause.reason.message),
        }
    }
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

fn still_going(driver: &Driver, saga_id: &str, found: &Found) -> Failure {
    let now = saga::Timestamp(driver.clock().now().0);
    let state = found.status().as_str();
    let stands = match (&found.listed.aside, &found.story) {
        (None, Some(story)) => {
            sentence::standing(story, now).unwrap_or_else(|| sentence::next(story, now))
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

/// Tells the caller the saga, where the response has a field for it.
fn set_saga_id(message: &mut DynamicMessage, saga_id: &str) {
    let _ = message.try_set_field_by_name("saga_id", Value::String(saga_id.to_owned()));
}
