//! Which streams are taken, and who waits for one.
//!
//! h2 takes more requests than the peer allows streams, and keeps them in a queue that nobody can look into: a call's
//! time would pass there. So no request is handed to h2 beyond the limit.
//!
//! As long as somebody waits, no stream is free: a stream goes straight from the call that ends to the one that has
//! waited longest, and none that comes later gets before it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use clock::Timestamp;
use tokio::sync::oneshot;
use tonic::Status;

use super::{Peer, Stream, open::Open, subchannel::Subchannel, watch::Silence};
use crate::dial::Endpoint;

/// How many endpoints of a peer are used at once.
const MAX_ENDPOINTS: usize = 64;
/// How old what a look-up found may be before names are looked up again, and how soon that is done where a connection failed.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(30);
const MIN_LOOKUP_INTERVAL: Duration = Duration::from_secs(1);

/// What a waiting caller gets: a stream, or why there is none.
pub(super) type TurnResult = Result<Stream, Status>;

type Turns = VecDeque<oneshot::Sender<TurnResult>>;

/// The connections to one peer.
pub(super) struct Pool {
    pub(super) subchannels: Vec<Subchannel>,
    pub(super) lookup: Lookup,
    /// With which subchannel the search for a stream begins: those that have as many calls are taken in turn.
    next: usize,
    /// How many connections there may be to one endpoint.
    max_connections: usize,
    /// Calls that are under way, also on retired connections.
    pub(super) calls: usize,
    /// The number that a connection or subchannel was given last.
    last_number: u64,
    /// A call began since the last tick.
    pub(super) is_used: bool,
    /// A task looks at the connections at each tick.
    pub(super) is_watched: bool,
    /// The callers that wait, in the order in which they came. One that has gone away is removed when its turn comes, or
    /// when another caller joins.
    waiting: Turns,
}

/// The look-ups of the peer's names.
pub(super) struct Lookup {
    /// Its address has names; otherwise its endpoints are known.
    has_names: bool,
    is_running: bool,
    /// When it last came to something.
    ended: Option<Timestamp>,
    /// Why it last failed.
    why: Option<String>,
    /// An endpoint has failed since.
    is_doubted: bool,
}

/// What is to be done when the pool's lock is released, as each of it may take the lock again.
#[derive(Default)]
pub(super) struct Work {
    pub(super) given: Vec<(oneshot::Sender<TurnResult>, Stream)>,
    pub(super) refused: Option<(Turns, Status)>,
    pub(super) connect: Vec<(u64, Endpoint)>,
    pub(super) look_up: bool,
}

impl Pool {
    /// No connection yet.
    pub(super) fn new(endpoints: Option<Vec<Endpoint>>, max_connections: usize) -> Self {
        let has_names = endpoints.is_none();
        let mut pool = Self {
            subchannels: Vec::new(),
            lookup: Lookup {
                has_names,
                is_running: false,
                ended: None,
                why: None,
                is_doubted: false,
            },
            next: 0,
            max_connections,
            calls: 0,
            last_number: 0,
            is_used: false,
            is_watched: false,
            waiting: VecDeque::new(),
        };
        pool.use_endpoints(endpoints.unwrap_or_default());
        pool
    }

    /// Uses these endpoints and no others. What is under way to another goes on.
    fn use_endpoints(&mut self, found: Vec<Endpoint>) {
        self.subchannels.retain(|known| found.contains(&known.endpoint));
        for endpoint in found {
            let is_known = self.subchannels.iter().any(|known| known.endpoint == endpoint);
            if !is_known && self.subchannels.len() < MAX_ENDPOINTS {
                let id = self.number();
                self.subchannels.push(Subchannel::new(id, endpoint));
            }
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.subchannels.iter().any(Subchannel::is_open)
    }

    fn is_connecting(&self) -> bool {
        self.lookup.is_running || self.subchannels.iter().any(|one| one.connecting)
    }

    /// Takes a stream of the subchannel that has the fewest calls.
    pub(super) fn take(&mut self, peer: &Arc<Peer>) -> Option<Stream> {
        self.next = self.next.wrapping_add(1);
        loop {
            let index = self.least_loaded()?;
            if let Some((requests, connection)) = self.subchannels[index].take(&peer.clock) {
                self.calls += 1;
                self.is_used = true;
                return Some(Stream { peer: Arc::clone(peer), connection, requests });
            }
        }
    }

    fn least_loaded(&self) -> Option<usize> {
        let count = self.subchannels.len();
        let in_turn = (0..count).map(|offset| self.next.wrapping_add(offset) % count);
        let ranked =
            in_turn.filter_map(|index| self.subchannels[index].rank().map(|rank| (rank, index)));
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, index)| index)
    }

    /// Joins the queue behind all callers that wait already.
    pub(super) fn join(&mut self, turn: oneshot::Sender<TurnResult>) {
        while self.waiting.front().is_some_and(oneshot::Sender::is_closed) {
            self.waiting.pop_front();
        }
        self.waiting.push_back(turn);
        if !self.is_connected() {
            // Nobody else is there, so that even who failed a moment ago is tried.
            if !self.is_connecting() {
                self.subchannels.iter_mut().for_each(Subchannel::end_backoff);
            }
            self.lookup.is_doubted = true;
        }
    }

    /// Whether a caller is in line.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The connection of this number.
    pub(super) fn find(&mut self, number: u64) -> Option<&mut Open> {
        self.subchannels.iter_mut().find_map(|one| one.find(number))
    }

    /// Gives what is free to those who wait, and finds what is to be done where that is not enough.
    pub(super) fn settle(&mut self, peer: &Arc<Peer>) -> Work {
        let mut work = Work::default();
        while let Some(turn) = self.waiting.pop_front() {
            if turn.is_closed() {
                continue;
            }
            match self.take(peer) {
                Some(stream) => work.given.push((turn, stream)),
                None => {
                    self.waiting.push_front(turn);
                    break;
                }
            }
        }
        if self.waiting.is_empty() {
            return work;
        }
        let now = peer.clock.now();
        work.look_up = !self.is_connected() && self.lookup.begin(now);
        work.connect = self.connect_those(|one, most| one.may_connect_more(now, most));
        if !self.is_connected() && !self.is_connecting() {
            work.refused = Some((std::mem::take(&mut self.waiting), self.why_not_connected()));
        }
        work
    }

    /// Those that wait for nothing but a connection.
    fn connect_those(
        &mut self,
        may_connect: impl Fn(&Subchannel, usize) -> bool,
    ) -> Vec<(u64, Endpoint)> {
        let mut connect = Vec::new();
        for one in &mut self.subchannels {
            if may_connect(one, self.max_connections) {
                one.connecting = true;
                connect.push((one.id, one.endpoint.clone()));
            }
        }
        connect
    }

    fn why_not_connected(&self) -> Status {
        let whys: Vec<_> =
            self.subchannels.iter().filter_map(|one| Some((one, one.why()?))).collect();
        match (whys.as_slice(), &self.lookup.why) {
            ([], None) => Status::unavailable("no address is known"),
            ([], Some(why)) => Status::unavailable(why.as_str()),
            ([(_, why)], _) => (*why).clone(),
            (whys, _) => {
                let whys: Vec<_> = whys
                    .iter()
                    .map(|(one, why)| format!("{}: {}", one.endpoint, why.message()))
                    .collect();
                Status::unavailable(whys.join("; "))
            }
        }
    }

    /// What a look-up of the peer's names has found.
    pub(super) fn looked_up(&mut self, found: Result<Vec<Endpoint>, String>, now: Timestamp) {
        self.lookup.is_running = false;
        self.lookup.ended = Some(now);
        match found {
            Ok(found) => {
                self.lookup.why = None;
                self.use_endpoints(found);
            }
            // What was found before may still be right.
            Err(why) => self.lookup.why = Some(why),
        }
    }

    /// Looks at each connection: leaves those that hang, and tries again what was left.
    pub(super) fn tick(&mut self, now: Timestamp) -> (Vec<u64>, Work) {
        let hung = self.subchannels.iter_mut().flat_map(Subchannel::tick).collect();
        let mut work = Work::default();
        if std::mem::take(&mut self.is_used) || self.calls > 0 {
            work.connect = self.connect_those(|one, _| one.may_connect(now));
            work.look_up = self.lookup.begin(now);
        }
        (hung, work)
    }

    /// Gives up a connection whose peer answers nothing. Whether it was there.
    pub(super) fn give_up(&mut self, number: u64, silence: Silence, now: Timestamp) -> bool {
        let found = self.subchannels.iter_mut().position(|one| one.find(number).is_some());
        let Some(index) = found else { return false };
        let is_alone = self.subchannels.iter().filter(|one| one.is_open()).count() == 1;
        // A single peer whose calls time out may be at work on them.
        if let (false, Some(open)) = (is_alone && silence == Silence::TimeOuts, self.find(number)) {
            open.move_on();
        }
        self.subchannels[index].retire(number);
        // Where nobody else is there, a new connection may lead to a process that is well.
        if self.is_connected() && !self.subchannels[index].is_open() {
            let why = Status::unavailable("nothing is answered on its connections");
            self.subchannels[index].failed(now, why);
        }
        self.lookup.is_doubted = true;
        true
    }
}

impl Lookup {
    /// Whether a look-up begins now.
    fn begin(&mut self, now: Timestamp) -> bool {
        let interval = if self.is_doubted { MIN_LOOKUP_INTERVAL } else { LOOKUP_INTERVAL };
        let is_due = self.ended.is_none_or(|ended| now >= ended.after(interval));
        let begins = self.has_names && !self.is_running && is_due;
        self.is_running |= begins;
        self.is_doubted &= !begins;
        begins
    }

    /// An endpoint has failed: what was found may be old.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = true;
    }
}
