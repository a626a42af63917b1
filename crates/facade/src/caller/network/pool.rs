//! Which streams are taken, and who waits for one.
//!
//! h2 takes more requests than the peer allows streams, and keeps them in a queue that nobody can look into: a call's
//! time would pass there. So no request is handed to h2 beyond the limit.
//!
//! As long as somebody waits, no stream is free: a stream goes straight from the call that ends to the one that has
//! waited longest, and none that comes later gets before it.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{Arc, MutexGuard, PoisonError, Weak, atomic::AtomicU32},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures::task::noop_waker_ref;
use h2::client::SendRequest;
use tokio::{runtime::Handle, sync::oneshot};
use tonic::Status;

use super::{NotSent, Obstacle, Peer, Stream, connect, written::Written};

/// What a waiting caller gets: a stream, or why there is none.
type TurnResult = Result<Stream, Status>;

/// The connections to one address.
pub(super) struct Pool {
    open: Vec<Open>,
    /// How many connections there may be.
    max_connections: usize,
    /// Calls that are under way, also on retired connections.
    calls: usize,
    /// How many calls may be under way at once.
    max_calls: usize,
    /// The number of the connection that was opened last.
    last_number: u64,
    /// A task is connecting now.
    connecting: bool,
    /// The last attempt to connect failed: no further one is made while other connections are open.
    refuses_more: bool,
    /// A connection closed before it took a call.
    closed_unused: bool,
    /// The callers that wait, in the order in which they came. One that has gone away is removed when its turn comes, or
    /// when another caller joins.
    waiting: VecDeque<oneshot::Sender<TurnResult>>,
}

struct Open {
    number: u64,
    requests: SendRequest<Bytes>,
    /// How many streams the peer takes at once.
    limit: usize,
    taken: usize,
    used: bool,
    unanswered: Arc<AtomicU32>,
    written: Written,
}

impl Open {
    /// Whether it takes a request. A peer that is about to go away lets the calls end that it has.
    fn is_ready(&mut self) -> bool {
        let mut context = std::task::Context::from_waker(noop_waker_ref());
        matches!(self.requests.poll_ready(&mut context), Poll::Ready(Ok(())))
    }
}

impl Pool {
    /// No connection yet.
    pub(super) fn new(max_connections: usize, max_calls: Option<NonZero<usize>>) -> Self {
        Self {
            open: Vec::new(),
            max_connections,
            calls: 0,
            max_calls: max_calls.map_or(usize::MAX, NonZero::get),
            last_number: 0,
            connecting: false,
            refuses_more: false,
            closed_unused: false,
            waiting: VecDeque::new(),
        }
    }

    /// Takes a stream of the first connection that has one free, so that as few connections as possible are used.
    fn take(&mut self, peer: &Arc<Peer>) -> Option<Stream> {
        if self.calls >= self.max_calls {
            return None;
        }
        let mut index = 0;
        while let Some(open) = self.open.get_mut(index) {
            if open.taken >= open.limit {
                index += 1;
            } else if open.is_ready() {
                open.taken += 1;
                open.used = true;
                self.calls += 1;
                return Some(Stream {
                    peer: Arc::clone(peer),
                    connection: open.number,
                    requests: open.requests.clone(),
                    unanswered: Arc::clone(&open.unanswered),
                    written: open.written.clone(),
                });
            } else {
                self.remove(index);
            }
        }
        None
    }

    /// Forgets a connection; the calls that it has go on.
    fn remove(&mut self, index: usize) {
        let gone = self.open.remove(index);
        self.closed_unused |= !gone.used;
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.open.iter().position(|open| open.number == number)
    }

    /// Whether another connection is worth making for the callers that wait.
    fn needs_connection(&self) -> bool {
        // A peer that allows no stream at all on one connection will not do so on the next.
        let is_short = self.open.len() < self.max_connections
            && !self.refuses_more
            && self.open.iter().all(|open| open.used);
        self.calls < self.max_calls
            && !self.connecting
            && !self.waiting.is_empty()
            && (self.open.is_empty() || is_short)
    }

    /// Takes all waiting callers, where there is no connection and none is being made; they are then failed.
    fn take_failed_waiters(&mut self) -> VecDeque<oneshot::Sender<TurnResult>> {
        match self.open.is_empty() && !self.connecting {
            true => std::mem::take(&mut self.waiting),
            false => VecDeque::new(),
        }
    }
}

impl Peer {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn free(self: &Arc<Self>) -> Option<Stream> {
        let mut pool = self.pool();
        let stream = pool.take(self);
        pool.closed_unused = false;
        stream
    }

    /// Joins the queue behind all callers that wait already.
    pub(super) fn queue(self: &Arc<Self>) -> oneshot::Receiver<TurnResult> {
        let (turn, result) = oneshot::channel();
        let mut pool = self.pool();
        while pool.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            pool.waiting.pop_front();
        }
        pool.waiting.push_back(turn);
        self.settle(pool);
        result
    }

    /// Whether there is a connection; otherwise the error for a caller that has waited `waited` for one.
    pub(super) fn is_connected(&self, waited: Duration) -> Result<(), NotSent> {
        match self.pool().open.is_empty() {
            false => Ok(()),
            true => Err(NotSent::new(
                Obstacle::NoConnection,
                format!("{}: no connection within {} ms", self.address, waited.as_millis()),
            )),
        }
    }

    /// The error for a caller that has waited `waited` for a stream and got none.
    pub(super) fn no_stream_error(&self, waited: Duration) -> NotSent {
        if let Err(none) = self.is_connected(waited) {
            return none;
        }
        let pool = self.pool();
        let waited = format!("no stream was free within {} ms", waited.as_millis());
        if pool.calls >= pool.max_calls {
            let Pool { max_calls, .. } = *pool;
            return NotSent::new(
                Obstacle::OwnLimit,
                format!("{waited}: {} is sent {max_calls} at once (max_calls)", self.address),
            );
        }
        let limit = pool.open.iter().fold(0_usize, |sum, open| sum.saturating_add(open.limit));
        NotSent::new(
            Obstacle::NoStream,
            format!(
                "{waited}: {} takes {limit} at once (connections: {})",
                self.address,
                pool.open.len()
            ),
        )
    }

    /// Gives back the stream of a call that has ended.
    pub(super) fn release(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        pool.calls -= 1;
        if let Some(index) = pool.position(number) {
            pool.open[index].taken -= 1;
        }
        self.settle(pool);
    }

    /// Sends no further call over this connection, nor over one that is idle: that leads to the same process, more often
    /// than not, and costs little to make again.
    pub(super) fn retire(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        if pool.position(number).is_none() {
            return;
        }
        tracing::info!(
            address = %self.address,
            "a connection is given up: nothing is answered on it"
        );
        pool.open.retain(|open| open.number != number && open.taken > 0);
        self.settle(pool);
    }

    fn set_limit(self: &Arc<Self>, number: u64, limit: usize) {
        let mut pool = self.pool();
        if let Some(index) = pool.position(number) {
            pool.open[index].limit = limit;
        }
        self.settle(pool);
    }

    fn remove_closed(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        if let Some(index) = pool.position(number) {
            pool.remove(index);
        }
        self.settle(pool);
    }

    /// Adds a connection to the pool, and gives its number.
    fn connected(
        self: &Arc<Self>,
        requests: SendRequest<Bytes>,
        limit: usize,
        written: Written,
    ) -> u64 {
        let mut pool = self.pool();
        pool.connecting = false;
        pool.refuses_more &= !pool.open.is_empty();
        pool.last_number += 1;
        let number = pool.last_number;
        let unanswered = Arc::default();
        let (taken, used) = (0, false);
        pool.open.push(Open { number, requests, limit, taken, used, unanswered, written });
        self.settle(pool);
        number
    }

    /// Fails the callers that wait for the first connection; where others are open, these serve the callers instead.
    fn connect_failed(self: &Arc<Self>, why: &Status) {
        let mut pool = self.pool();
        pool.connecting = false;
        pool.refuses_more = true;
        let failed_waiters = pool.take_failed_waiters();
        self.settle(pool);
        fail_waiters(failed_waiters, why);
    }

    /// Gives what is free to those who wait, and makes another connection where that is not enough.
    fn settle(self: &Arc<Self>, mut pool: MutexGuard<'_, Pool>) {
        if pool.waiting.is_empty() {
            pool.closed_unused = false;
            return;
        }
        let mut given = Vec::new();
        while let Some(turn) = pool.waiting.pop_front() {
            if turn.is_closed() {
                continue;
            }
            match pool.take(self) {
                Some(stream) => given.push((turn, stream)),
                None => {
                    pool.waiting.push_front(turn);
                    break;
                }
            }
        }
        // Without this, a peer that closes each connection at once would be connected to in an endless loop.
        let closed_unused = std::mem::take(&mut pool.closed_unused);
        pool.refuses_more |= closed_unused;
        let failed_waiters =
            if closed_unused { pool.take_failed_waiters() } else { VecDeque::new() };
        let needs_connection = pool.needs_connection();
        pool.connecting |= needs_connection;
        // The lock is released first, because each of the following calls may take it again.
        drop(pool);
        if needs_connection {
            self.spawn_connect();
        }
        fail_waiters(
            failed_waiters,
            &Status::unavailable("the connection closed before it took a call"),
        );
        for (turn, stream) in given {
            // A caller that has gone away meanwhile drops the stream, which then goes to the next.
            let _ = turn.send(Ok(stream));
        }
    }

    /// Makes a connection in a task of its own: it goes on when the caller that needed it first goes away.
    fn spawn_connect(self: &Arc<Self>) {
        let task = ConnectTask { peer: Some(Arc::clone(self)) };
        // Outside of a runtime, as when the last of its tasks are dropped, nothing is made any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(task.run());
        }
    }
}

fn fail_waiters(failed_waiters: VecDeque<oneshot::Sender<TurnResult>>, why: &Status) {
    for turn in failed_waiters {
        let _ = turn.send(Err(why.clone()));
    }
}

/// The task that makes a connection. The waiting callers learn how it ended also when the runtime drops it.
struct ConnectTask {
    peer: Option<Arc<Peer>>,
}

impl ConnectTask {
    async fn run(mut self) {
        let Some(peer) = &self.peer else { return };
        let connected = connect::Connection::make(&peer.address).await;
        let Some(peer) = self.peer.take() else { return };
        match connected {
            Ok((requests, connection)) => {
                let number = peer.connected(requests, connection.limit, connection.written.clone());
                // Weak: the connection must close when no client holds the peer any more.
                let weak = Arc::downgrade(&peer);
                drop(peer);
                work(connection, number, weak).await;
            }
            Err(why) => peer.connect_failed(&why),
        }
    }
}

impl Drop for ConnectTask {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.connect_failed(&connect::runtime_stopping());
        }
    }
}

async fn work(mut connection: connect::Connection, number: u64, peer: Weak<Peer>) {
    let closed = loop {
        match connection.work().await {
            Ok(Some(limit)) => {
                if let Some(peer) = peer.upgrade() {
                    peer.set_limit(number, limit);
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let Some(peer) = peer.upgrade() else { return };
    if let Some(error) = closed {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(address = %peer.address, error, "a connection broke");
    }
    peer.remove_closed(number);
}
