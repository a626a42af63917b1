//! A saga as a typed method: a call of the method starts the saga and waits for its end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use facade::{Call, Decline, Failure, Reply, dynamic::Handler};
use futures::future::BoxFuture;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use proto::facade::v1::Reason;
use saga::{SagaState, Status};
use tonic::Code;

use super::{
    read::{self, Found, Story},
    sentence,
};
use crate::{
    definition::Compiled,
    driver::{Driver, Start},
};

/// How long a caller without a deadline is kept waiting beyond the saga's own.
const BEYOND_DEADLINE: Duration = Duration::from_secs(30);
/// What is kept of the caller's time to look up where the saga stands.
const TO_ANSWER: Duration = Duration::from_millis(60);

/// Answers one method by the newest version of the definition that serves it.
pub struct Served {
    driver: Driver,
    definition: String,
    output: MethodDescriptor,
}

impl Served {
    /// Answers the method that `definition` serves.
    #[must_use]
    pub fn new(driver: Driver, definition: &Compiled, method: &MethodDescriptor) -> Arc<Self> {
        Arc::new(Self { driver, definition: definition.name().to_owned(), output: method.clone() })
    }
}

impl Handler for Served {
    fn handle(
        &self,
        call: Call,
        request: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let (driver, definition, method) =
            (self.driver.clone(), self.definition.clone(), self.output.clone());
        Box::pin(async move {
            let registered = driver.registry().find(&definition, 0).ok_or_else(|| {
                Failure::declined(
                    Reason::DefinitionUnknown,
                    format!("the definition {definition} is not registered"),
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
    let request: Bytes = request.encode_to_vec().into();
    let key = definition
        .key(&request)
        .map_err(|fault| Failure::invalid("", fault.to_string()))?
        .unwrap_or_default();
    let limit = match call.limit() {
        Some(limit) => limit.saturating_sub(TO_ANSWER.min(limit / 4)),
        None => definition.engine().deadline() + BEYOND_DEADLINE,
    };
    let started = driver
        .start(definition, key, request, call.trace().id())
        .await
        .map_err(Failure::unavailable)?;
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
    let Some(story) = &found.story else { return Err(still_going(driver, saga_id, found)) };
    let mut message = DynamicMessage::new(method.output());
    let decline = match story.state.status() {
        Status::Succeeded => {
            let encoded = story.state.reply().cloned().unwrap_or_default();
            message.merge(encoded).map_err(Failure::internal)?;
            None
        }
        Status::Compensated | Status::Resolved => {
            Some(decline(story.definition.engine(), &story.state))
        }
        _ => return Err(still_going(driver, saga_id, found)),
    };
    set_saga_id(&mut message, saga_id);
    let reply = Reply::from(message).first_given_in(&found.listed.header.trace_id);
    Ok(match decline {
        Some(decline) => {
            reply.declined(decline).with_fact("saga_id", saga_id).with_fact("step", step_of(story))
        }
        None => reply,
    })
}

/// Why the saga did not do what was asked, naming the step.
fn decline(definition: &saga::Definition, state: &SagaState) -> Decline {
    let ending = match state.status() {
        Status::Resolved => "the saga was closed by a person",
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
fn step_of(story: &Story) -> String {
    let step = story.state.cause().and_then(|cause| cause.step);
    step.map(|step| story.definition.engine().step(step).name.clone()).unwrap_or_default()
}

fn still_going(driver: &Driver, saga_id: &str, found: &Found) -> Failure {
    let now = saga::Timestamp(driver.clock().now().0);
    let (state, stands) = match &found.story {
        Some(story) => {
            let stands =
                sentence::standing(story, now).unwrap_or_else(|| sentence::next(story, now));
            (story.state.status().as_str(), stands)
        }
        None => (Status::Attention.as_str(), found.listed.unreadable.clone().unwrap_or_default()),
    };
    Failure::Refused {
        code: Code::DeadlineExceeded,
        reason: Reason::DeadlinePassed,
        message: format!(
            "the saga {saga_id} goes on and stands in {state}: {stands}; ask again with the same request for its end"
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
