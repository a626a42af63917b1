//! A connection that takes calls.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::task::noop_waker_ref;
use h2::{PingPong, client::SendRequest};
use http::uri::Authority;
use tokio_util::sync::CancellationToken;

use super::{
    watch::{Sign, Signs, Watch},
    written::Written,
};

/// What the calls of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Which connection it is.
    pub(super) number: u64,
    /// What its peer is called.
    pub(super) authority: Authority,
    pub(super) signs: Signs,
    pub(super) written: Written,
    /// Cancelled when its calls will not be answered, and others go elsewhere.
    pub(super) moved: CancellationToken,
}

/// A connection, and which of its streams are taken.
pub(super) struct Open {
    requests: SendRequest<Bytes>,
    shared: Arc<Shared>,
    /// How many streams the peer takes at once.
    pub(super) limit: usize,
    pub(super) taken: usize,
    /// It has taken a call.
    pub(super) is_used: bool,
    watch: Watch,
}

impl Open {
    pub(super) fn new(
        requests: SendRequest<Bytes>,
        shared: Shared,
        limit: usize,
        pings: Option<PingPong>,
    ) -> Self {
        let (shared, watch) = (Arc::new(shared), Watch::new(pings));
        Self { requests, shared, limit, taken: 0, is_used: false, watch }
    }

    pub(super) fn number(&self) -> u64 {
        self.shared.number
    }

    pub(super) fn has_free_stream(&self) -> bool {
        self.taken < self.limit
    }

    /// Whether it takes a request. A peer that is about to go away lets the calls end that it has.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(noop_waker_ref());
        matches!(self.requests.poll_ready(&mut context), Poll::Ready(Ok(())))
    }

    pub(super) fn take(&mut self) -> (SendRequest<Bytes>, Arc<Shared>) {
        self.taken += 1;
        self.is_used = true;
        (self.requests.clone(), Arc::clone(&self.shared))
    }

    /// Whether nothing was ever received on it.
    pub(super) fn is_unproven(&self) -> bool {
        !self.shared.signs.is_proven()
    }

    /// Tells its calls that others go elsewhere.
    pub(super) fn move_on(&self) {
        self.shared.moved.cancel();
    }

    /// Calls have been under way for a while, and nothing is received.
    pub(super) fn is_silent(&self) -> bool {
        self.watch.is_silent()
    }

    pub(super) fn tick(&mut self) -> Sign {
        self.watch.tick(&self.shared.signs, self.taken)
    }
}
