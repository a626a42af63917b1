//! Who waits, and whose turn is next: undos before calls, and among each of these one saga after the other.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::RandomState,
};

use saga::Direction;

/// A call that waits, as it is found again. Both are hashes: where two are equal by chance, two sagas share their turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) saga: u64,
    pub(super) step: u64,
    pub(super) direction: Direction,
}

/// The place of one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    caller: Caller,
    number: u64,
}

/// Those that wait, each with what tells it that its turn has come.
#[derive(Debug)]
pub(super) struct Line<T> {
    undos: Lane<T>,
    calls: Lane<T>,
    joined: u64,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { undos: Lane::default(), calls: Lane::default(), joined: 0 }
    }
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        self.undos.len + self.calls.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins behind all sagas that wait already, or behind what the saga itself waits with.
    pub(super) fn join(&mut self, caller: Caller, turn: T) -> Ticket {
        self.joined += 1;
        let ticket = Ticket { caller, number: self.joined };
        self.lane(caller.direction).join(Waiter { ticket, turn });
        ticket
    }

    /// Leaves before its turn; nothing happens where that has come.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.lane(ticket.caller.direction).leave(ticket);
    }

    /// Whoever is next, who no longer waits then.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.undos.pop().or_else(|| self.calls.pop())
    }

    /// How many go before this one, where it waits.
    pub(super) fn ahead_of(&self, caller: Caller) -> Option<usize> {
        match caller.direction {
            Direction::Undo => self.undos.ahead_of(caller),
            Direction::Forward => Some(self.undos.len + self.calls.ahead_of(caller)?),
        }
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane<T> {
        match direction {
            Direction::Undo => &mut self.undos,
            Direction::Forward => &mut self.calls,
        }
    }
}

/// Those that wait in one direction. A saga has one turn and then stands behind all others again, however many calls it
/// waits with: so each of them comes to its turn, and a saga of many parallel steps keeps nobody waiting.
#[derive(Debug)]
struct Lane<T> {
    /// The next call of each saga, in the order of the sagas' turns.
    order: BTreeMap<u64, Waiter<T>>,
    sagas: HashMap<u64, Saga<T>, RandomState>,
    /// The last place in the order.
    last: u64,
    len: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { order: BTreeMap::new(), sagas: HashMap::default(), last: 0, len: 0 }
    }
}

#[derive(Debug)]
struct Saga<T> {
    /// Where its next call stands in the order.
    place: u64,
    /// What it waits with besides.
    behind: VecDeque<Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    ticket: Ticket,
    turn: T,
}

impl<T> Lane<T> {
    fn join(&mut self, waiter: Waiter<T>) {
        self.len += 1;
        let saga = waiter.ticket.caller.saga;
        match self.sagas.get_mut(&saga) {
            Some(saga) => saga.behind.push_back(waiter),
            None => {
                self.last += 1;
                self.order.insert(self.last, waiter);
                self.sagas.insert(saga, Saga { place: self.last, behind: VecDeque::new() });
            }
        }
    }

    fn pop(&mut self) -> Option<T> {
        let (_, waiter) = self.order.pop_first()?;
        self.len -= 1;
        self.last += 1;
        self.next_of(waiter.ticket.caller.saga, self.last);
        Some(waiter.turn)
    }

    /// Puts what the saga waits with next at this place of the order.
    fn next_of(&mut self, saga: u64, place: u64) {
        let Some(waiting) = self.sagas.get_mut(&saga) else { return };
        match waiting.behind.pop_front() {
            Some(next) => {
                waiting.place = place;
                self.order.insert(place, next);
            }
            None => {
                self.sagas.remove(&saga);
            }
        }
    }

    fn leave(&mut self, ticket: Ticket) {
        let Some(saga) = self.sagas.get_mut(&ticket.caller.saga) else { return };
        let place = saga.place;
        if self.order.get(&place).is_some_and(|next| next.ticket == ticket) {
            self.order.remove(&place);
            self.len -= 1;
            self.next_of(ticket.caller.saga, place);
        } else if let Some(index) = saga.behind.iter().position(|other| other.ticket == ticket) {
            saga.behind.remove(index);
            self.len -= 1;
        }
    }

    fn ahead_of(&self, caller: Caller) -> Option<usize> {
        let saga = self.sagas.get(&caller.saga)?;
        let next = self.order.get(&saga.place).into_iter();
        let mut of_saga = next.chain(&saga.behind);
        let turns = of_saga.position(|waiter| waiter.ticket.caller == caller)?;
        // Each other saga has as many turns before it, and one more where it stands before this one in the order.
        let others = self.sagas.values().map(|other| {
            let more = usize::from(other.place < saga.place);
            (other.behind.len() + 1).min(turns + more)
        });
        // The saga itself is counted among them with `turns`, for it does not stand before itself.
        Some(others.sum())
    }
}
