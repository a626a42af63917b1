//! Responses that wait for their callers to take them: each byte is held from when it is ready until the transport has
//! written it, and a connection that takes none of what waits for it is closed.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use clock::Clock;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};

use crate::{
    Failure,
    budget::{Account, Lease, Spent},
    status::StatusDetails,
};

/// A response that is taken from its connection's account.
pub(super) struct LeasedBody<B> {
    body: B,
    account: Arc<Account>,
    refused: bool,
}

/// Bytes that are given back as they are written.
pub(super) struct LeasedBytes {
    bytes: Bytes,
    lease: Lease,
}

impl<B> LeasedBody<B> {
    pub(super) fn new(body: B, account: Arc<Account>) -> Self {
        Self { body, account, refused: false }
    }

    /// What the call is told in the place of a response that there is no room for: it was carried out, and the same call
    /// asks for the response again.
    fn refuse(&mut self, spent: Spent) -> Frame<LeasedBytes> {
        self.refused = true;
        let failure = Failure::from(spent);
        let status = StatusDetails::of(&failure).into_status("");
        tracing::debug!(
            why = status.message(),
            "a response is dropped: its caller takes too little"
        );
        let mut trailers = http::HeaderMap::new();
        // A status that we made can be written.
        let _ = status.add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for LeasedBody<B> {
    type Data = LeasedBytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<LeasedBytes>, B::Error>>> {
        let this = self.get_mut();
        if this.refused {
            return Poll::Ready(None);
        }
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)?) else {
            return Poll::Ready(None);
        };
        let frame = match frame.into_data() {
            Ok(bytes) => match this.account.lease_for_response(bytes.len()) {
                Ok(lease) => Frame::data(LeasedBytes { bytes, lease }),
                Err(spent) => this.refuse(spent),
            },
            // What is no data is trailers.
            Err(frame) => Frame::trailers(frame.into_trailers().unwrap_or_default()),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.refused || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Buf for LeasedBytes {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.lease.taken(count);
    }
}

/// A connection that ends when its peer has taken nothing for too long of what waits for it.
pub(super) struct StallLimited<F> {
    connection: F,
    account: Arc<Account>,
    clock: Clock,
    /// `None` while nothing waits.
    watch: Option<Watch>,
}

struct Watch {
    late: BoxFuture<'static, ()>,
    taken: usize,
}

impl<F> StallLimited<F> {
    pub(super) fn new(connection: F, account: Arc<Account>, clock: Clock) -> Self {
        Self { connection, account, clock, watch: None }
    }

    fn watch(&self) -> Watch {
        let (clock, timeout) = (self.clock.clone(), self.account.stall_timeout());
        let late = Box::pin(async move { clock.sleep(timeout).await });
        Watch { late, taken: self.account.taken() }
    }
}

impl<F: Future + Unpin> Future for StallLimited<F> {
    /// `None` where the peer took nothing for too long.
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.account.share().begin_turn();
        if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(context) {
            return Poll::Ready(Some(ended));
        }
        loop {
            if this.account.waiting() == 0 {
                this.watch = None;
                return Poll::Pending;
            }
            let mut watch = this.watch.take().unwrap_or_else(|| this.watch());
            if watch.late.as_mut().poll(context).is_pending() {
                this.watch = Some(watch);
                return Poll::Pending;
            }
            if watch.taken == this.account.taken() {
                return Poll::Ready(None);
            }
        }
    }
}
