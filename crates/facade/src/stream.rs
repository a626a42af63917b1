//! Streams of answers, each with its result filled.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use proto::Response;
use tonic::Status;

use crate::{Failure, codec::Filled, reply::Payload, result, status::StatusDetails};

/// What a streaming handler answers: payloads without result; a failure ends the stream.
pub type Answers<R> = BoxStream<'static, Result<R, Failure>>;

/// What goes out.
pub(crate) struct Outgoing<R>(BoxStream<'static, Result<Filled<R>, Status>>);

impl<R: Response + Send + 'static> Outgoing<R> {
    /// Fills each answer's result, and shows what goes out to `show`.
    pub(crate) fn carry(
        answers: Answers<R>,
        trace_id: String,
        show: impl Fn(&Filled<R>) + Send + 'static,
    ) -> Self {
        Self(
            answers
                .map(move |answer| match answer {
                    Ok(response) => {
                        let payload = Payload::Typed(response);
                        let response = Filled::new(payload, result::done(trace_id.clone()));
                        show(&response);
                        Ok(response)
                    }
                    Err(failure) => Err(StatusDetails::of(&failure).into_status(&trace_id)),
                })
                .boxed(),
        )
    }

    pub(crate) fn single(response: Filled<R>) -> Self {
        Self(futures::stream::iter([Ok(response)]).boxed())
    }
}

impl<R> Stream for Outgoing<R> {
    type Item = Result<Filled<R>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}
