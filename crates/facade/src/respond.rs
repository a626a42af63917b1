//! What a handler came to, made what its caller gets.

use std::marker::PhantomData;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor};
use proto::{Response, canonical, facade::v1::ResultInfo};
use tonic::Status;

use crate::{
    Call, Failure, Reply,
    codec::Filled,
    end::End,
    redact,
    reply::Payload,
    result::{self, fill_result, result_of},
    status::StatusDetails,
};

/// How responses of one kind are made, filled and shown.
pub(crate) trait ResponseType {
    /// A response as the handler gives it.
    type Message;
    /// A response as it goes out.
    type Filled;

    /// A response without payload.
    fn blank(&self) -> Self::Message;

    /// A response with its result; `false` where the type has none.
    fn fill(&self, payload: Payload<Self::Message>, result: ResultInfo) -> (Self::Filled, bool);

    /// What goes out, as the log may show it.
    fn shown(&self, response: &Self::Filled) -> Option<DynamicMessage>;
}

/// Responses of a type that is known when the program is built.
pub(crate) struct Typed<R> {
    described: MessageDescriptor,
    response: PhantomData<fn() -> R>,
}

impl<R> Typed<R> {
    pub(crate) fn of(method: &MethodDescriptor) -> Self {
        Self { described: method.output(), response: PhantomData }
    }
}

impl<R: Message + Default + Response> ResponseType for Typed<R> {
    type Message = R;
    type Filled = Filled<R>;

    fn blank(&self) -> R {
        R::default()
    }

    fn fill(&self, payload: Payload<R>, result: ResultInfo) -> (Filled<R>, bool) {
        (Filled::new(payload, result), true)
    }

    fn shown(&self, response: &Filled<R>) -> Option<DynamicMessage> {
        redact::shown(self.described.clone(), &response.bytes().ok()?)
    }
}

/// Responses of a type that is known by its descriptor alone.
pub(crate) struct Described(pub(crate) MessageDescriptor);

impl ResponseType for Described {
    type Message = DynamicMessage;
    type Filled = Bytes;

    fn blank(&self) -> DynamicMessage {
        DynamicMessage::new(self.0.clone())
    }

    fn fill(&self, payload: Payload<DynamicMessage>, result: ResultInfo) -> (Bytes, bool) {
        match payload {
            Payload::Typed(mut message) => {
                let filled = fill_result(&mut message, result);
                // A repeat must get its maps as the first answer had them.
                (canonical::encode(message).into(), filled)
            }
            Payload::Stored(bytes) => {
                let Some(field) = result_of(&self.0) else { return (bytes, false) };
                let mut whole = Vec::from(bytes);
                prost::encoding::message::encode(field.number(), &result, &mut whole);
                (whole.into(), true)
            }
        }
    }

    fn shown(&self, response: &Bytes) -> Option<DynamicMessage> {
        redact::shown(self.0.clone(), response)
    }
}

/// Makes the answer of a call, and says how the call ended.
pub(crate) fn respond<S: ResponseType>(
    call: &Call,
    response_type: &S,
    outcome: Result<Reply<S::Message>, Failure>,
) -> Result<S::Filled, Status> {
    let (end, given) = answer(call, response_type, outcome);
    if redact::is_logged()
        && let Ok(response) = &given
    {
        redact::log_response(response_type.shown(response));
    }
    call.context().ended(end);
    given
}

fn answer<S: ResponseType>(
    call: &Call,
    response_type: &S,
    outcome: Result<Reply<S::Message>, Failure>,
) -> (End, Result<S::Filled, Status>) {
    let trace_of = |first: Option<String>| first.unwrap_or_else(|| call.trace().id());
    let (end, details, payload, trace_id) = match outcome {
        Ok(Reply { payload, decline: None, trace_id, .. }) => {
            let (response, _) = response_type.fill(payload, result::done(trace_of(trace_id)));
            return (End::done(), Ok(response));
        }
        Ok(Reply { payload, decline: Some(decline), trace_id, facts }) => {
            let details = StatusDetails::of_decline(&decline).with_facts(facts);
            (End::declined(&details), details, Some(payload), trace_of(trace_id))
        }
        Err(mut failure) => {
            let details = StatusDetails::of(&failure);
            let end = End::failed(&failure, &details);
            let blank = call.wants_envelope().then(|| Payload::Typed(response_type.blank()));
            (end, details, blank, trace_of(failure.take_trace_id()))
        }
    };
    // A response type without a result can say no only by its status.
    if let Some(payload) = payload
        && let (response, true) = response_type.fill(payload, details.result(&trace_id))
    {
        return (end, Ok(response));
    }
    (end, Err(details.into_status(&trace_id)))
}
