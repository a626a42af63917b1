//! A saga as a typed method: a call of the method starts the saga and waits for its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use facade::{Call, Decline, Failure, Reply, Trace, dynamic::Handler};
use futures::future::BoxFuture;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use proto::{canonical, facade::v1::Reason};
use saga::Status;
use tonic::Code;

use super::{
    read::{self, Found, Story},
    sentence,
};
use crate::{
    definition::Compiled,
    driver::{Driver, Start},
};

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
                Failure::declined(
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
    let started =
        driver.start(definition, key, request, call.trace()).await.map_err(Failure::unavailable)?;
    let saga_id = match started {
        Start::New(saga_id) | Start::Already(saga_id) => saga_id,
        Start::KeyReused => {
            let sentence = "another request was sent under this idempotency key";
            return Err(Failure::refused(Code::FailedPrecondition, Reason::KeyReused, sentence));
        }
    };
    // The start waited for the disk: only the rest of the caller's time is left.
    let spent = driver.clock().now().since(call.arrived());
    read::wait(driver, &saga_id, limit.saturating_sub(spent)).await;
    let found = read::find(driver, &saga_id).await?;
    reply(driver, method, &saga_id, &found)
}

fn reply(
    driver: &Driver,
    method: &MethodDescriptor,
    saga_id: &str,
    found: &Found,
) -> Result<Reply<DynamicMessage>, Failure> {
    let mut message = DynamicMessage::new(method.output());
    let decline = match (found.status(), &found.story) {
        (Status::Succeeded, Some(story)) => {
            let encoded = story.state.reply().cloned().unwrap_or_default();
            message.merge(encoded).map_err(Failure::internal)?;
            None
        }
        (Status::Compensated | Status::Resolved, Some(story)) => Some(decline(story)),
        (Status::Resolved, None) => Some(Decline::new(Reason::SagaState, CLOSED)),
        _ => return Err(still_going(driver, saga_id, found)),
    };
    set_saga_id(&mut message, saga_id);
    let reply = Reply::from(message).first_given_in(Trace::id_of(&found.listed.header.trace));
    Ok(match decline {
        Some(decline) => {
            reply.declined(decline).with_fact("saga_id", saga_id).with_fact("step", step_of(found))
        }
        None => reply,
    })
}

/// Why the saga did not do what was asked, naming the step.
fn decline(story: &Story) -> Decline {
    let (definition, state) = (story.definition.engine(), &story.state);
    let ending = match state.status() {
        Status::Resolved => CLOSED,
        _ => "everything that had started is undone",
    };
    match state.cause() {
        Some(cause) => {
            let step = cause.step.map(|step| definition.step(step).name.clone());
            let at = step.map(|step| format!("{step}: ")).unwrap_or_default();
            Decline {
                code: cause.reason.code.clone(),
                message: format!("{at}{}; {ending}", cause.reason.message),
            }
        }
        None => Decline::new(Reason::SagaState, ending),
    }
}

/// The step that made the saga turn back; empty for one that turned back as a whole.
fn step_of(found: &Found) -> String {
    let step = found.story.as_ref().and_then(|story| {
        let step = story.state.cause()?.step?;
        Some(story.definition.engine().step(step).name.clone())
    });
    step.unwrap_or_default()
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
    let (code, reason, goes_on) = match driver.is_halted() {
        true => (Code::Unavailable, Reason::Unavailable, "goes on when this node is started again"),
        false => (Code::DeadlineExceeded, Reason::DeadlinePassed, "goes on"),
    };
    Failure::Refused {
        code,
        reason,
        message: format!(
            "the saga {saga_id} {goes_on} and stands in {state}: {stands}; ask again with the same request for its end"
        ),
        facts: vec![
            ("saga_id".to_owned(), saga_id.to_owned()),
            ("saga_state".to_owned(), state.to_owned()),
        ],
    }
}

/// Tells the caller the saga, where the response has a field for it.
fn set_saga_id(message: &mut DynamicMessage, saga_id: &str) {
    let _ = message.try_set_field_by_name("saga_id", Value::String(saga_id.to_owned()));
}
