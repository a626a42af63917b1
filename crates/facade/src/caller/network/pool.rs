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

use super::{NoStream, Peer, Stream, connect};

/// What somebody who waits is told.
type Told = Result<Stream, Status>;

/// The connections to one address.
pub(super) struct Pool {
    open: Vec<Open>,
    /// How many connections there may be.
    max_connections: usize,
    /// Calls that are under way, also on connections that are given up.
    calls: usize,
    /// How many there may be.
    max_calls: usize,
    /// Connections that there have been.
    numbered: u64,
    making: bool,
    /// The peer took no further connection: those that are open must do.
    enough: bool,
    /// A connection closed before it took a call.
    fleeting: bool,
    /// In the order in which they came. Who has gone away is still here until its turn comes, or the next one comes.
    waiting: VecDeque<oneshot::Sender<Told>>,
}

struct Open {
    number: u64,
    requests: SendRequest<Bytes>,
    /// How many streams the peer takes at once.
    limit: usize,
    taken: usize,
    used: bool,
    unanswered: Arc<AtomicU32>,
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
            numbered: 0,
            making: false,
            enough: false,
            fleeting: false,
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
        self.fleeting |= !gone.used;
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.open.iter().position(|open| open.number == number)
    }

    fn wants_another(&self) -> bool {
        // A peer that allows no stream at all on one connection will not do so on the next.
        let is_short = self.open.len() < self.max_connections
            && !self.enough
            && self.open.iter().all(|open| open.used);
        self.calls < self.max_calls
            && !self.making
            && !self.waiting.is_empty()
            && (self.open.is_empty() || is_short)
    }

    /// Whoever waits, where all are to be told that there is no connection.
    fn in_vain(&mut self) -> VecDeque<oneshot::Sender<Told>> {
        match self.open.is_empty() && !self.making {
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
        pool.fleeting = false;
        stream
    }

    /// A place behind all who wait.
    pub(super) fn queue(self: &Arc<Self>) -> oneshot::Receiver<Told> {
        let (turn, told) = oneshot::channel();
        let mut pool = self.pool();
        while pool.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            pool.waiting.pop_front();
        }
        pool.waiting.push_back(turn);
        self.settle(pool);
        told
    }

    /// Whether there is a connection: a caller that has waited for it in vain is told so.
    pub(super) fn is_connected(&self, waited: Duration) -> Result<(), NoStream> {
        match self.pool().open.is_empty() {
            false => Ok(()),
            true => Err(NoStream::Unreachable(Status::deadline_exceeded(format!(
                "no connection within {} ms",
                waited.as_millis()
            )))),
        }
    }

    /// What a caller is told that has waited for a stream in vain.
    pub(super) fn all_taken(&self, waited: Duration) -> NoStream {
        if let Err(none) = self.is_connected(waited) {
            return none;
        }
        let pool = self.pool();
        let waited = format!("no stream was free within {} ms", waited.as_millis());
        if pool.calls >= pool.max_calls {
            let Pool { max_calls, .. } = *pool;
            return NoStream::AllTaken(format!(
                "{waited}: {} is sent {max_calls} at once (max_calls)",
                self.address
            ));
        }
        let limit = pool.open.iter().fold(0_usize, |sum, open| sum.saturating_add(open.limit));
        NoStream::AllTaken(format!(
            "{waited}: {} takes {limit} at once (connections: {})",
            self.address,
            pool.open.len()
        ))
    }

    /// A call has ended.
    pub(super) fn release(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        pool.calls -= 1;
        if let Some(index) = pool.position(number) {
            pool.open[index].taken -= 1;
        }
        self.settle(pool);
    }

    /// No further call goes over this connection. Nor over one that is idle: it leads where this one did, more often
    /// than not, and costs little to make again.
    pub(super) fn give_up(self: &Arc<Self>, number: u64) {
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

    fn limited(self: &Arc<Self>, number: u64, limit: usize) {
        let mut pool = self.pool();
        if let Some(index) = pool.position(number) {
            pool.open[index].limit = limit;
        }
        self.settle(pool);
    }

    fn closed(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        if let Some(index) = pool.position(number) {
            pool.remove(index);
        }
        self.settle(pool);
    }

    fn opened(self: &Arc<Self>, requests: SendRequest<Bytes>, limit: usize) -> u64 {
        let mut pool = self.pool();
        pool.making = false;
        pool.enough &= !pool.open.is_empty();
        pool.numbered += 1;
        let number = pool.numbered;
        let unanswered = Arc::default();
        pool.open.push(Open { number, requests, limit, taken: 0, used: false, unanswered });
        self.settle(pool);
        number
    }

    /// Whoever waits for the first connection is told why there is none; where there are others, they must do.
    fn not_opened(self: &Arc<Self>, why: &Status) {
        let mut pool = self.pool();
        pool.making = false;
        pool.enough = true;
        let in_vain = pool.in_vain();
        self.settle(pool);
        tell(in_vain, why);
    }

    /// Gives what is free to those who wait, and makes another connection where that is not enough.
    fn settle(self: &Arc<Self>, mut pool: MutexGuard<'_, Pool>) {
        if pool.waiting.is_empty() {
            pool.fleeting = false;
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
        // A peer that closes each connection at once would be connected to again and again.
        let fleeting = std::mem::take(&mut pool.fleeting);
        pool.enough |= fleeting;
        let in_vain = if fleeting { pool.in_vain() } else { VecDeque::new() };
        let make = pool.wants_another();
        pool.making |= make;
        // Unlocked first: each of what follows may come back here.
        drop(pool);
        if make {
            self.make();
        }
        tell(in_vain, &Status::unavailable("the connection closed before it took a call"));
        for (turn, stream) in given {
            // Who has gone away meanwhile drops the stream, and so gives up its turn.
            let _ = turn.send(Ok(stream));
        }
    }

    /// Makes a connection in a task of its own: it goes on when the caller that needed it first goes away.
    fn make(self: &Arc<Self>) {
        let making = Making { peer: Some(Arc::clone(self)) };
        // Outside of a runtime, as when the last of its tasks are dropped, nothing is made any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(making.run());
        }
    }
}

fn tell(in_vain: VecDeque<oneshot::Sender<Told>>, why: &Status) {
    for turn in in_vain {
        let _ = turn.send(Err(why.clone()));
    }
}

/// A connection that is being made. Its end is told also when the runtime drops it.
struct Making {
    peer: Option<Arc<Peer>>,
}

impl Making {
    async fn run(mut self) {
        let Some(peer) = &self.peer else { return };
        let made = connect::Connection::make(&peer.address).await;
        let Some(peer) = self.peer.take() else { return };
        match made {
            Ok((requests, connection)) => {
                let number = peer.opened(requests, connection.limit);
                // Not kept by its own connection: that closes when nobody has the way to it any more.
                let weak = Arc::downgrade(&peer);
                drop(peer);
                work(connection, number, weak).await;
            }
            Err(why) => peer.not_opened(&why),
        }
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.not_opened(&connect::stopping());
        }
    }
}

async fn work(mut connection: connect::Connection, number: u64, peer: Weak<Peer>) {
    let closed = loop {
        match connection.work().await {
            Ok(Some(limit)) => {
                if let Some(peer) = peer.upgrade() {
                    peer.limited(number, limit);
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
    peer.closed(number);
}
