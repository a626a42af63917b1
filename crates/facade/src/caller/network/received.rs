//! The body of an answer, as it comes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;
use tonic::Status;

/// The body of an answer. Dropped before its end, it ends the call.
#[derive(Debug)]
pub struct Received {
    stream: RecvStream,
    /// All data is there: only trailers may come.
    complete: bool,
}

impl Received {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, complete: false }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.complete {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    // The peer may send as much again. It fails where the stream has ended, and nothing is to come.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(error)))),
                None => self.complete = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(context));
        Poll::Ready(
            trailers.map(|trailers| trailers.map(Frame::trailers)).map_err(broken).transpose(),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// What a caller is told of a connection or stream that broke.
pub(super) fn broken(error: h2::Error) -> Status {
    // What was under way may have landed; a stream that the peer refused or reset says why by its code.
    match error.is_io() || error.is_go_away() {
        true => Status::unavailable(format!("the connection broke: {error}")),
        false => Status::from_error(Box::new(error)),
    }
}
