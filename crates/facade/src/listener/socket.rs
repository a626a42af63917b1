//! A connection's socket: it must bring an HTTP preface in time, and is read no further than its share goes.

use std::{
    io::{Error, ErrorKind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use clock::Clock;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::slots::Slot;
use crate::budget::Account;

/// The bytes that every HTTP/2 connection begins with; a request of HTTP/1.1 is longer.
const PREFACE_BYTES: usize = 24;

/// A stream that fails where it has not brought an HTTP preface in time, or is sent away before. It has a connection's slot.
pub(super) struct Socket<S> {
    stream: S,
    slot: Slot,
    /// `None` once enough has come.
    waiting: Option<AwaitedPreface>,
    account: Arc<Account>,
    clock: Clock,
    /// Until it is over, nothing is read.
    pause: Option<BoxFuture<'static, ()>>,
}

struct AwaitedPreface {
    timed_out: BoxFuture<'static, ()>,
    received: usize,
}

impl<S> Socket<S> {
    pub(super) fn new(
        stream: S,
        (slot, leave): (Slot, CancellationToken),
        account: Arc<Account>,
        clock: Clock,
        timeout: Duration,
    ) -> Self {
        let waiting = clock.clone();
        let timed_out = Box::pin(async move {
            leave.run_until_cancelled(waiting.sleep(timeout)).await;
        });
        let waiting = Some(AwaitedPreface { timed_out, received: 0 });
        Self { stream, slot, waiting, account, clock, pause: None }
    }
}

impl<S> Socket<S> {
    fn poll_pause(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_none()
            && let Some(pause) = self.account.share().pause()
        {
            let clock = self.clock.clone();
            self.pause = Some(Box::pin(async move { clock.sleep(pause.length).await }));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(())
    }

    fn has_read(&mut self, bytes: usize) {
        self.account.share().has_read(bytes);
        let Some(wait) = &mut self.waiting else { return };
        wait.received += bytes;
        if wait.received >= PREFACE_BYTES {
            self.waiting = None;
            self.slot.has_spoken();
        }
    }
}

impl<S: Connected> Connected for Socket<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        if let Some(wait) = &mut this.waiting
            && wait.timed_out.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "no HTTP preface came in time",
            )));
        }
        ready!(this.poll_pause(context));
        if !this.account.share().may_read() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.has_read(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
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

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use clock::{ManualTime, Timestamp};

    use super::*;
    use crate::{budget::Budget, config::Connections, listener::slots::Slots};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A socket of a peer that always has more.
    fn flooded() -> (Socket<tokio::io::Repeat>, ManualTime) {
        let slots = Slots::new(&Connections::default(), Arc::default());
        let slot = slots.take(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let (clock, time) = Clock::manual(Timestamp(0));
        let account = Budget::default().account();
        let second = Duration::from_secs(1);
        (Socket::new(tokio::io::repeat(0), slot, account, clock, second), time)
    }

    /// How many bytes are read before the socket gives way.
    fn read_turn(socket: &mut Socket<tokio::io::Repeat>, waker: &Waker) -> usize {
        let (mut read, mut gives_way) = (0, false);
        let mut context = Context::from_waker(waker);
        socket.account.share().begin_turn();
        loop {
            let mut bytes = [0; 1000];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *socket).poll_read(&mut context, &mut buffer) {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending if read == 0 || gives_way => return read,
                // Within one turn the socket is polled again after it gave way.
                Poll::Pending => gives_way = true,
            }
            read += buffer.filled().len();
        }
    }

    #[test]
    fn a_peer_that_always_has_more_gives_way_after_its_share_each_time() {
        let (mut socket, _) = flooded();
        for _ in 0..3 {
            let wakes = Arc::new(Wakes::default());
            assert_eq!(read_turn(&mut socket, &Waker::from(Arc::clone(&wakes))), 9_000);
            let woken = wakes.0.load(Ordering::Relaxed);
            assert!(woken > 0, "it has its next turn without a word from the peer");
        }
    }

    #[test]
    fn a_peer_whose_calls_come_to_nothing_is_not_read_from_for_a_while() {
        let (mut socket, time) = flooded();
        let waker = Waker::noop();
        assert_eq!(read_turn(&mut socket, waker), 9_000);
        (0..64).for_each(|_| socket.account.share().count_futile_call());
        assert_eq!(read_turn(&mut socket, waker), 0);
        assert_eq!(read_turn(&mut socket, waker), 0, "however often it is asked");
        time.advance(Duration::from_millis(8));
        assert_eq!(read_turn(&mut socket, waker), 9_000);
    }
}
