//! Which sagas may begin, and how many that have waited go on at once.
//!
//! Only what is active counts: a saga that waits for an instant or for a person has given its permit back. Sagas that
//! have waited have room apart from those that begin, so neither keeps the other out.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    net::SocketAddr,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::{Clock, duration};
use definition::{Compiled, Target};
use saga::StepId;

use super::pace::Pace;
use crate::{config::Limits, handlers::saga_service, metrics::Limit, outbound::Participants};

/// So many sagas are begun whatever the pace: they are no line yet.
const NO_LINE: usize = 64;
/// A caller over whose connection fewer sagas than this are active is let in at four times the delay that others are: a flood
/// over one connection does not shut out the others.
const OF_A_QUIET_CALLER: usize = 2;
/// How long a caller should wait whose saga was not begun because there is no room.
const ROOM_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who asks for a saga to be started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requester {
    /// The connection that the request came over.
    pub peer: Option<SocketAddr>,
    /// Whether somebody waits for the saga's end.
    pub waits: bool,
    /// How much is left of the caller's time, where it has set a limit.
    pub rest: Option<Duration>,
}

/// Why a saga was not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What there is no room in.
    pub limit: Limit,
    /// A sentence with the name of the setting.
    pub why: String,
    /// How long the caller should leave this node alone.
    pub retry_after: Duration,
}

/// The sagas that are active in one room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoomView {
    pub(crate) room: &'static str,
    pub(crate) active: usize,
    pub(crate) max: usize,
}

/// Counts the sagas that are active.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    participants: Participants,
    pace: Pace,
    active: Mutex<Active>,
}

#[derive(Debug)]
struct Bounds {
    begun: Bound,
    woken: Bound,
    steering: NonZero<usize>,
    calls: usize,
    share_of_participant: u8,
    share_of_definition: u8,
    within: usize,
    delay: Duration,
}

/// How many sagas may be active, in all and of one definition.
#[derive(Debug)]
struct Bound {
    all: usize,
    of_definition: usize,
}

impl Bound {
    fn new(all: usize, share: u8) -> Self {
        Self { all, of_definition: part(all, share) }
    }
}

/// So many percent, and one at least.
fn part(all: usize, percent: u8) -> usize {
    let part = all as u128 * u128::from(percent) / 100;
    usize::try_from(part).unwrap_or(usize::MAX).max(1)
}

#[derive(Debug, Default)]
struct Active {
    begun: Count,
    woken: Count,
    steering: Count,
    by_peer: ByPeer,
}

/// How many sagas are active that somebody over this connection waits for since their start.
#[derive(Debug, Default)]
struct ByPeer(HashMap<SocketAddr, usize>);

impl ByPeer {
    fn of(&self, peer: SocketAddr) -> usize {
        self.0.get(&peer).copied().unwrap_or_default()
    }

    fn add(&mut self, peer: SocketAddr) {
        *self.0.entry(peer).or_default() += 1;
    }

    /// Connections come and go, so nothing is kept of one that has none.
    fn remove(&mut self, peer: SocketAddr) {
        let Entry::Occupied(mut count) = self.0.entry(peer) else { return };
        match count.get() {
            0 | 1 => drop(count.remove()),
            _ => *count.get_mut() -= 1,
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    all: usize,
    /// Definitions are few, and stay.
    by_definition: HashMap<Arc<str>, usize>,
}

impl Count {
    fn of(&self, definition: &str) -> usize {
        self.by_definition.get(definition).copied().unwrap_or_default()
    }

    fn add(&mut self, definition: &str) -> Arc<str> {
        self.all += 1;
        let name = match self.by_definition.get_key_value(definition) {
            Some((name, _)) => Arc::clone(name),
            None => definition.into(),
        };
        *self.by_definition.entry(Arc::clone(&name)).or_default() += 1;
        name
    }

    fn remove(&mut self, definition: &str) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.by_definition.get_mut(definition) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What an active saga takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// Of those that have not waited since their start.
    Begun,
    /// Of those that call the orchestrator itself, from their start.
    Steering,
    /// Of those that have waited, or were taken up.
    Woken,
}

/// Held by a saga that is active.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    definition: Arc<str>,
    room: Room,
    peer: Option<SocketAddr>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut active = self.admission.active();
        active.room(self.room).remove(&self.definition);
        if let Some(peer) = self.peer {
            active.by_peer.remove(peer);
        }
    }
}

impl Active {
    fn room(&mut self, room: Room) -> &mut Count {
        match room {
            Room::Begun => &mut self.begun,
            Room::Steering => &mut self.steering,
            Room::Woken => &mut self.woken,
        }
    }
}

impl Admission {
    pub(crate) fn new(clock: Clock, participants: Participants, limits: &Limits) -> Self {
        let Limits { max_running, sagas, .. } = limits;
        let share_of_definition = sagas.share_per_definition;
        let share_of_participant = sagas.share_per_participant;
        let bounds = Bounds {
            begun: Bound::new(*max_running, share_of_definition),
            woken: Bound::new((*max_running / 2).max(1), share_of_definition),
            steering: sagas.max_steering,
            calls: part(*max_running, share_of_participant),
            share_of_participant,
            share_of_definition,
            within: sagas.max_within.get(),
            delay: sagas.max_delay,
        };
        Self { bounds, participants, pace: Pace::new(clock), active: Mutex::default() }
    }

    /// How long appends wait.
    pub(crate) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// How many sagas are active at the moment, and may be.
    pub(crate) fn rooms(&self) -> [RoomView; 3] {
        let (active, bounds) = (self.active(), &self.bounds);
        [
            RoomView { room: "begun", active: active.begun.all, max: bounds.begun.all },
            RoomView { room: "woken", active: active.woken.all, max: bounds.woken.all },
            RoomView { room: "steering", active: active.steering.all, max: bounds.steering.get() },
        ]
    }

    /// How many sagas of each definition are active, where any are.
    pub(crate) fn active_by_definition(&self) -> BTreeMap<Arc<str>, usize> {
        let active = self.active();
        let mut sum = BTreeMap::new();
        for count in [&active.begun, &active.woken, &active.steering] {
            for (name, count) in count.by_definition.iter().filter(|(_, count)| **count > 0) {
                *sum.entry(Arc::clone(name)).or_default() += count;
            }
        }
        sum
    }

    /// Lets a new saga begin, or says why not.
    pub(crate) fn begin(
        self: &Arc<Self>,
        definition: &Compiled,
        requester: &Requester,
    ) -> Result<Permit, Refusal> {
        let mut active = self.active();
        let steers = targets(definition).any(|target| target.service == saga_service::NAME);
        let room = if steers { Room::Steering } else { Room::Begun };
        if let Some((limit, full)) = self.full(&active, definition, room) {
            let why = format!("{full} ({}); nothing was begun", limit.setting());
            return Err(Refusal { limit, why, retry_after: ROOM_RETRY_AFTER });
        }
        self.in_time(&mut active, definition, requester, room)?;
        let peer = requester.peer.filter(|_| requester.waits);
        if let Some(peer) = peer {
            active.by_peer.add(peer);
        }
        let definition = active.room(room).add(definition.name());
        Ok(Permit { admission: Arc::clone(self), definition, room, peer })
    }

    /// Lets a saga go on that has waited, where there is room.
    pub(crate) fn wake(self: &Arc<Self>, definition: &str) -> Option<Permit> {
        let (mut active, bound) = (self.active(), &self.bounds.woken);
        let woken = &mut active.woken;
        if woken.all >= bound.all || woken.of(definition) >= bound.of_definition {
            return None;
        }
        let definition = woken.add(definition);
        Some(Permit { admission: Arc::clone(self), definition, room: Room::Woken, peer: None })
    }

    /// Lets a saga go on whatever room there is: one that was active before, or that an operator gave an order.
    pub(crate) fn take_up(self: &Arc<Self>, definition: &str) -> Permit {
        let definition = self.active().woken.add(definition);
        Permit { admission: Arc::clone(self), definition, room: Room::Woken, peer: None }
    }

    /// The definitions none of whose sagas may go on that have waited; `None` where none of any may.
    pub(crate) fn crowded(&self) -> Option<Vec<String>> {
        let (active, bound) = (self.active(), &self.bounds.woken);
        let counts = active.woken.by_definition.iter();
        let crowded = counts.filter(|(_, count)| **count >= bound.of_definition);
        let crowded = crowded.map(|(definition, _)| definition.to_string()).collect();
        (active.woken.all < bound.all).then_some(crowded)
    }

    /// What there is no room in for one more.
    fn full(&self, active: &Active, definition: &Compiled, room: Room) -> Option<(Limit, String)> {
        let Bounds { begun, steering, share_of_definition, .. } = &self.bounds;
        if room == Room::Steering {
            let is_full = active.steering.all >= steering.get();
            let full = || format!("as many sagas that steer others run here as may: {steering}");
            return is_full.then(|| (Limit::MaxSteering, full()));
        }
        let (name, all) = (definition.name(), begun.all);
        if active.begun.all >= all {
            let full = format!("this node runs as many sagas as it may: {all}");
            return Some((Limit::MaxRunning, full));
        }
        let of_definition = begun.of_definition;
        if active.begun.of(name) >= of_definition {
            let full = format!(
                "as many sagas of the definition {name} run here as may: {of_definition}, \
                 {share_of_definition} % of {all}"
            );
            return Some((Limit::SharePerDefinition, full));
        }
        let within = self.bounds.within;
        if active.begun.of(name) >= within && self.is_within(definition) {
            let full = format!(
                "as many sagas of the definition {name}, whose participants are within this process, run here as may: \
                 {within}"
            );
            return Some((Limit::MaxWithin, full));
        }
        self.crowded_participant(definition)
    }

    /// Whether all that a saga of this definition calls is within this process.
    fn is_within(&self, definition: &Compiled) -> bool {
        targets(definition).all(|target| self.participants.is_within(&target.service))
    }

    fn crowded_participant(&self, definition: &Compiled) -> Option<(Limit, String)> {
        let Bounds { begun, calls, share_of_participant, .. } = &self.bounds;
        let mut services = targets(definition).map(|target| target.service.as_str());
        let crowded = services.find(|service| self.participants.under_way(service) >= *calls)?;
        let full = format!(
            "as many calls to {crowded} are under way as may be: {calls}, {share_of_participant} % of {all}",
            all = begun.all
        );
        Some((Limit::SharePerParticipant, full))
    }

    /// Refuses a saga that would wait for too long.
    fn in_time(
        &self,
        active: &mut Active,
        definition: &Compiled,
        requester: &Requester,
        room: Room,
    ) -> Result<(), Refusal> {
        if active.room(room).all < NO_LINE {
            return Ok(());
        }
        let Requester { peer, waits, rest } = requester;
        let delay = self.bounds.delay;
        let is_quiet = peer.is_some_and(|peer| active.by_peer.of(peer) < OF_A_QUIET_CALLER);
        let limit = match (waits, is_quiet) {
            (true, true) => delay.saturating_mul(4),
            (true, false) => delay,
            (false, _) => delay / 2,
        };
        let expected = self.expected(definition);
        if expected <= limit.min(rest.unwrap_or(Duration::MAX)) {
            return Ok(());
        }
        let why = format!(
            "a saga that begins now would wait for {} for this node: longer than it may \
             (limits.sagas.max_delay: {}), or than its caller does; nothing was begun",
            duration::text(expected),
            duration::text(delay)
        );
        Err(Refusal { limit: Limit::MaxDelay, why, retry_after: expected })
    }

    /// How long a saga waits for this node from its start to its end: for each step's record and for its call, and once
    /// for its start.
    fn expected(&self, definition: &Compiled) -> Duration {
        let steps = u32::try_from(definition.engine().steps().len()).unwrap_or(u32::MAX);
        let waits = steps.saturating_mul(2).saturating_add(1);
        let expected = self.pace.wait().saturating_mul(waits);
        Duration::from_millis(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX))
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every method that a saga of this definition may call.
fn targets(definition: &Compiled) -> impl Iterator<Item = &Target> {
    let steps = (0..definition.engine().steps().len()).filter_map(|step| u16::try_from(step).ok());
    steps.flat_map(|step| {
        let step = definition.step(StepId(step));
        std::iter::once(&step.call).chain(step.undo.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_connection_whose_sagas_are_over() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut by_peer = ByPeer::default();
        by_peer.add(peer);
        by_peer.add(peer);
        by_peer.remove(peer);
        assert_eq!(by_peer.of(peer), 1);
        by_peer.remove(peer);
        assert_eq!(by_peer.of(peer), 0);
        assert!(by_peer.0.is_empty());
    }
}
