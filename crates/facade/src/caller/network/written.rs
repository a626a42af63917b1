//! How much was written to a connection's socket. h2 does not tell whether a request has left its buffers; where the socket
//! took nothing since the request was handed to h2, it has not.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The bytes that a socket took so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A socket that counts what it takes.
#[derive(Debug)]
pub(super) struct Counted<S> {
    socket: S,
    written: Written,
}

impl<S> Counted<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket, written: Written::default() }
    }

    pub(super) fn written(&self) -> Written {
        self.written.clone()
    }

    fn count(&self, taken: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = taken {
            self.written.0.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Release);
        }
        taken
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.count(taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.count(taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_the_socket_takes_is_counted_and_what_still_waits_is_not() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut counted = Counted::new(near);
        let written = counted.written();
        let mut writing = Box::pin(counted.write_all(b"seven b"));
        assert!(futures::poll!(&mut writing).is_pending());
        assert_eq!(written.bytes(), 4);
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        writing.await.unwrap();
        assert_eq!(written.bytes(), 7);
    }
}
