//! Streams of answers, each with its result filled.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use prost::Message;
use proto::Response;
use tonic::Status;

use crate::{
    Call, Failure,
    codec::Filled,
    end::End,
    log::Scope,
    redact,
    reply::Payload,
    respond::{ResponseType, Typed},
    result,
    status::StatusDetails,
};

/// What a streaming handler answers: payloads without result; a failure ends the stream.
pub type ResponseStream<R> = BoxStream<'static, Result<R, Failure>>;

/// What goes out.
pub(crate) struct Outgoing<R> {
    messages: BoxStream<'static, Result<Filled<R>, Status>>,
    /// The call's, which is over for the server when the stream is open.
    scope: Option<Scope>,
}

/// Makes the stream of a call whose handler came to `opened`, and says how the call ended: a stream that is open is an
/// answer.
pub(crate) fn open<R: Message + Default + Response + 'static>(
    call: &Call,
    response_type: Typed<R>,
    opened: Result<ResponseStream<R>, Failure>,
) -> Result<Outgoing<R>, Status> {
    let trace_id = call.trace().id();
    let failure = match opened {
        Ok(answers) => {
            call.context().ended(End::done());
            return Ok(Outgoing::filling(answers, trace_id, response_type));
        }
        Err(failure) => failure,
    };
    let details = StatusDetails::of(&failure);
    call.context().ended(End::failed(&failure, &details));
    if !call.wants_envelope() {
        return Err(details.into_status(&trace_id));
    }
    let (response, _) =
        response_type.fill(Payload::Typed(response_type.blank()), details.result(&trace_id));
    log(&response_type, &response);
    Ok(Outgoing { messages: futures::stream::iter([Ok(response)]).boxed(), scope: None })
}

impl<R: Message + Default + Response + 'static> Outgoing<R> {
    fn filling(answers: ResponseStream<R>, trace_id: String, response_type: Typed<R>) -> Self {
        let fill = move |answer| match answer {
            Ok(response) => {
                let result = result::done(trace_id.clone());
                let (response, _) = response_type.fill(Payload::Typed(response), result);
                log(&response_type, &response);
                Ok(response)
            }
            Err(failure) => Err(StatusDetails::of(&failure).into_status(&trace_id)),
        };
        Self { messages: answers.map(fill).boxed(), scope: Scope::current() }
    }
}

fn log<S: ResponseType>(response_type: &S, response: &S::Filled) {
    if redact::is_logged() {
        redact::log_response(response_type.shown(response));
    }
}

impl<R> Stream for Outgoing<R> {
    type Item = Result<Filled<R>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { messages, scope } = &mut *self;
        match scope {
            Some(scope) => scope.enter(|| messages.as_mut().poll_next(context)),
            None => messages.as_mut().poll_next(context),
        }
    }
}
