//! A connection that must send its HTTP preface in time.

use std::{
    io::{Error, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use clock::Clock;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::slots::Slot;

/// The bytes that every HTTP/2 connection begins with; a request of HTTP/1.1 is longer.
const PREFACE_BYTES: usize = 24;

/// A stream that fails where it has not brought an HTTP preface in time, or is sent away before. It has a connection's slot.
pub(super) struct HandshakeLimited<S> {
    stream: S,
    slot: Slot,
    /// `None` once enough has come.
    waiting: Option<AwaitedPreface>,
}

struct AwaitedPreface {
    timed_out: BoxFuture<'static, ()>,
    received: usize,
}

impl<S> HandshakeLimited<S> {
    pub(super) fn new(
        stream: S,
        (slot, leave): (Slot, CancellationToken),
        clock: Clock,
        timeout: Duration,
    ) -> Self {
        let timed_out = Box::pin(async move {
            leave.run_until_cancelled(clock.sleep(timeout)).await;
        });
        Self { stream, slot, waiting: Some(AwaitedPreface { timed_out, received: 0 }) }
    }
}

impl<S: Connected> Connected for HandshakeLimited<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HandshakeLimited<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let Self { stream, slot, waiting } = self.get_mut();
        let Some(wait) = waiting else { return Pin::new(stream).poll_read(context, buffer) };
        if wait.timed_out.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "no HTTP preface came in time",
            )));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        wait.received += buffer.filled().len() - before;
        if wait.received >= PREFACE_BYTES {
            *waiting = None;
            slot.has_spoken();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HandshakeLimited<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize, Error>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
