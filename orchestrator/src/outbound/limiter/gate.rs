//! When the next call to a participant may begin: the limits, and the line before them. It knows no time and no tasks
//! but those that it is told.

use std::{num::NonZero, time::Duration};

use clock::Timestamp;
use http::uri::PathAndQuery;

use super::{
    line::{Caller, Line, Ticket},
    pause::Pause,
    rate::Bucket,
    slowness::Fastest,
    window::Window,
};

/// The limits of a participant, and the calls to it that are under way or wait.
#[derive(Debug)]
pub(super) struct Gate<T> {
    line: Line<T>,
    window: Window,
    rate: Option<Bucket>,
    pause: Pause,
    fastest: Fastest,
    in_flight: usize,
    /// Those of them that wait for a stream: nobody else is let in beside them, so that the line is here, where it is fair.
    without_stream: usize,
    /// Streams are short: whoever comes from the line shows whether there is one for the next.
    one_by_one: bool,
    /// How many calls were let in.
    let_in: u64,
}

/// A call that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    number: u64,
    /// Since when.
    at: Timestamp,
    without_stream: bool,
}

impl Entry {
    /// Whether others are kept waiting until it has a stream.
    pub(super) fn is_without_stream(self) -> bool {
        self.without_stream
    }
}

/// What a call says of the participant at its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::outbound) enum Signal<'a> {
    /// Nothing: it was not made, or did not get through.
    None,
    /// It was answered, and had so much time for it.
    Answered { method: &'a PathAndQuery, limit: Duration },
    /// It was not answered in its time.
    Unanswered,
    /// There are too many calls; where the participant says so, it is to be left alone for so long.
    PushedBack { wait: Option<Duration> },
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// The next in line.
    Go(T, Entry),
    /// Nothing before this instant, unless a call ends.
    At(Timestamp),
    /// Nothing before a call ends or somebody joins.
    Idle,
}

/// How a participant's limits and its line stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls that are under way.
    pub in_flight: usize,
    /// Calls that wait in line.
    pub waiting: usize,
    /// How many may be under way at this moment: from 1 to `max`.
    pub limit: usize,
    /// How many may be under way at most: `participants.NAME.in_flight`.
    pub max: usize,
    /// Until when the participant asked to be left alone.
    pub left_alone_until: Option<Timestamp>,
}

impl<T> Gate<T> {
    /// Nobody waits, and so many calls may be under way at once, so many beginning a second.
    pub(super) fn new(
        in_flight: NonZero<usize>,
        rate: Option<NonZero<u32>>,
        now: Timestamp,
    ) -> Self {
        Self {
            line: Line::default(),
            window: Window::new(in_flight.get()),
            rate: rate.map(|per_second| Bucket::new(per_second, now)),
            pause: Pause::default(),
            fastest: Fastest::default(),
            in_flight: 0,
            without_stream: 0,
            one_by_one: false,
            let_in: 0,
        }
    }

    /// Lets a call begin at once, where nobody waits and the limits allow it.
    pub(super) fn enter(&mut self, now: Timestamp) -> Option<Entry> {
        match self.line.is_empty() && self.may_begin(now) == Begin::Now {
            true => Some(self.let_in(false, now)),
            false => None,
        }
    }

    /// Joins the line.
    pub(super) fn join(&mut self, caller: Caller, turn: T) -> Ticket {
        self.line.join(caller, turn)
    }

    /// Leaves the line before one's turn.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.line.leave(ticket);
    }

    /// Lets the next in line begin, where the limits allow it. To be asked again until there is nothing to do at once,
    /// whenever somebody has joined, a call has ended or found its stream, and at the instant that is told.
    pub(super) fn next(&mut self, now: Timestamp) -> Next<T> {
        if self.line.is_empty() {
            self.one_by_one = false;
            return Next::Idle;
        }
        match self.may_begin(now) {
            Begin::At(instant) => Next::At(instant),
            Begin::WhenOneEnds => Next::Idle,
            Begin::Now => match self.line.pop() {
                Some(turn) => Next::Go(turn, self.let_in(self.one_by_one, now)),
                None => Next::Idle,
            },
        }
    }

    /// The call has to wait for a stream.
    pub(super) fn waits_for_stream(&mut self, entry: &mut Entry) {
        self.one_by_one = true;
        if !entry.without_stream {
            entry.without_stream = true;
            self.without_stream += 1;
        }
    }

    /// The call has a stream, after it has waited for one or kept others waiting until it had it.
    pub(super) fn has_stream(&mut self, entry: &mut Entry, now: Timestamp) {
        entry.at = now;
        self.without_stream -= usize::from(std::mem::take(&mut entry.without_stream));
    }

    /// The call has ended, or is not made.
    pub(super) fn end(&mut self, entry: Entry, signal: Signal<'_>, now: Timestamp) {
        let Entry { number, at, without_stream } = entry;
        self.without_stream -= usize::from(without_stream);
        match signal {
            Signal::None => {}
            Signal::Answered { method, limit } => {
                self.pause.answered(number);
                match self.fastest.is_slow(method, now.since(at), limit, now) {
                    true => self.window.overloaded(number, self.in_flight, self.let_in),
                    false => self.window.went_well(self.in_flight),
                }
            }
            Signal::Unanswered => self.window.overloaded(number, self.in_flight, self.let_in),
            Signal::PushedBack { wait } => {
                self.window.overloaded(number, self.in_flight, self.let_in);
                if let Some(wait) = wait {
                    self.pause.asked(number, wait, self.let_in, now);
                }
            }
        }
        self.in_flight -= 1;
    }

    /// How many go before this one, where it waits.
    pub(super) fn ahead_of(&self, caller: Caller) -> Option<usize> {
        self.line.ahead_of(caller)
    }

    pub(super) fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            in_flight: self.in_flight,
            waiting: self.line.len(),
            limit: self.window.limit(),
            max: self.window.max(),
            left_alone_until: self.pause.until(now),
        }
    }

    fn may_begin(&mut self, now: Timestamp) -> Begin {
        if self.in_flight >= self.window.limit() || self.without_stream > 0 {
            return Begin::WhenOneEnds;
        }
        let by_rate = self.rate.as_mut().map_or(now, |rate| rate.next(now));
        let instant = by_rate.max(self.pause.next(now));
        if instant > now { Begin::At(instant) } else { Begin::Now }
    }

    fn let_in(&mut self, without_stream: bool, now: Timestamp) -> Entry {
        let number = self.let_in;
        self.let_in += 1;
        self.in_flight += 1;
        self.without_stream += usize::from(without_stream);
        self.pause.take(now);
        if let Some(rate) = &mut self.rate {
            rate.take();
        }
        Entry { number, at: now, without_stream }
    }
}

/// When a call may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Now,
    At(Timestamp),
    WhenOneEnds,
}
