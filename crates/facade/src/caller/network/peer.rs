//! What happens to a pool: calls take streams and give them back, connections come and go. Each is one turn under the pool's
//! lock; what follows from it is done when that is released.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    NotSent, Obstacle, Peer, Stream, connect,
    open::{Open, Shared},
    pool::{Pool, TurnResult, Work},
    tasks,
    watch::{Signs, Silence},
};
use crate::dial::Endpoint;

impl Peer {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream, where one is free now.
    pub(super) fn free(self: &Arc<Self>) -> Option<Stream> {
        self.pool().take(self)
    }

    /// Joins the queue behind all callers that wait already.
    pub(super) fn queue(self: &Arc<Self>) -> oneshot::Receiver<TurnResult> {
        let (turn, result) = oneshot::channel();
        let mut pool = self.pool();
        pool.join(turn);
        self.settle(pool);
        result
    }

    /// Whether there is a connection; otherwise the error for a caller that has waited `waited` for one.
    pub(super) fn is_connected(&self, waited: Duration) -> Result<(), NotSent> {
        match self.pool().is_connected() {
            true => Ok(()),
            false => Err(NotSent::new(
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
        let limits = pool.subchannels.iter().map(|one| one.limit());
        let limit = limits.fold(0_usize, usize::saturating_add);
        let connections: usize = pool.subchannels.iter().map(|one| one.connections()).sum();
        NotSent::new(
            Obstacle::NoStream,
            format!(
                "{waited}: {} takes {limit} at once (connections: {connections})",
                self.address
            ),
        )
    }

    /// Gives back the stream of a call that has ended.
    pub(super) fn release(self: &Arc<Self>, number: u64) {
        let mut pool = self.pool();
        pool.calls -= 1;
        if let Some(open) = pool.find(number) {
            open.taken -= 1;
        }
        self.settle(pool);
    }

    /// Sends no further call over a connection on which nothing is answered.
    pub(super) fn give_up(self: &Arc<Self>, number: u64, silence: Silence) {
        let mut pool = self.pool();
        if pool.give_up(number, silence, self.clock.now()) {
            let why = match silence {
                Silence::Ping => "neither calls nor a PING are answered on it",
                Silence::TimeOuts => "calls time out, and nothing comes between",
            };
            tracing::info!(address = %self.address, why, "a connection is given up");
        }
        self.settle(pool);
    }

    pub(super) fn set_limit(self: &Arc<Self>, number: u64, limit: usize) {
        let mut pool = self.pool();
        if let Some(open) = pool.find(number) {
            open.limit = limit;
        }
        self.settle(pool);
    }

    pub(super) fn closed(self: &Arc<Self>, number: u64) {
        let now = self.clock.now();
        let mut pool = self.pool();
        pool.subchannels.iter_mut().for_each(|one| one.closed(number, now));
        pool.lookup.doubt();
        self.settle(pool);
    }

    /// Adds a connection to the pool, and gives its number; `None` where its endpoint is not used any more.
    pub(super) fn connected(self: &Arc<Self>, subchannel: u64, made: connect::Made) -> Option<u64> {
        let mut pool = self.pool();
        let number = pool.number();
        let one = pool.subchannels.iter_mut().find(|one| one.id == subchannel)?;
        let shared = Shared {
            number,
            authority: self.authority.as_ref().unwrap_or(one.endpoint.authority()).clone(),
            signs: Signs::default(),
            written: made.written,
            moved: CancellationToken::new(),
        };
        one.connected(Open::new(made.requests, shared, made.limit, made.pings));
        let is_watched = std::mem::replace(&mut pool.is_watched, true);
        self.settle(pool);
        if !is_watched {
            tasks::watch(self);
        }
        Some(number)
    }

    pub(super) fn connect_failed(self: &Arc<Self>, subchannel: u64, why: Status) {
        let mut pool = self.pool();
        if let Some(one) = pool.subchannels.iter_mut().find(|one| one.id == subchannel) {
            let error = why.message();
            tracing::debug!(address = %self.address, endpoint = %one.endpoint, error, "no connection");
            one.connect_failed(self.clock.now(), why);
        }
        pool.lookup.doubt();
        self.settle(pool);
    }

    pub(super) fn looked_up(self: &Arc<Self>, found: Result<Vec<Endpoint>, String>) {
        let mut pool = self.pool();
        pool.looked_up(found, self.clock.now());
        self.settle(pool);
    }

    /// Looks at each connection: leaves those whose peers hang, and tries again what was left.
    pub(super) fn tick(self: &Arc<Self>) {
        let (hung, work) = self.pool().tick(self.clock.now());
        for number in hung {
            self.give_up(number, Silence::Ping);
        }
        self.carry_out(work);
    }

    /// Gives what is free to those who wait, and makes another connection where that is not enough.
    fn settle(self: &Arc<Self>, mut pool: MutexGuard<'_, Pool>) {
        if pool.is_waited_for() {
            let work = pool.settle(self);
            drop(pool);
            self.carry_out(work);
        }
    }

    fn carry_out(self: &Arc<Self>, work: Work) {
        if work.look_up {
            tasks::look_up(self);
        }
        for (subchannel, endpoint) in work.connect {
            tasks::connect(self, subchannel, endpoint);
        }
        if let Some((turns, why)) = work.refused {
            for turn in turns {
                let _ = turn.send(Err(why.clone()));
            }
        }
        for (turn, stream) in work.given {
            // A caller that has gone away meanwhile drops the stream, which then goes to the next.
            let _ = turn.send(Ok(stream));
        }
    }
}
