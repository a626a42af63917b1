//! What holds of the limits whatever happens, and of those who wait for them.

use std::{collections::HashMap, num::NonZero, time::Duration};

use clock::{Clock, Timestamp};
use futures::{FutureExt, future::join_all};
use http::uri::PathAndQuery;
use proptest::prelude::*;
use saga::Direction::{self, Forward, Undo};

use super::{
    CallLimits, Limiter, Permit, Snapshot,
    gate::{Entry, Gate, Next, Signal},
    line::{Caller, Line, Ticket},
};

const MAX: usize = 8;
const RATE: u32 = 20;
/// What may begin at once after a silence.
const BURST: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Happens {
    Joins { saga: u64, direction: Direction },
    Leaves(prop::sample::Index),
    Ends(prop::sample::Index, End),
    WaitsForStream(prop::sample::Index),
    HasStream(prop::sample::Index),
    Passes { ms: u64 },
}

#[derive(Clone, Copy, Debug)]
enum End {
    NotMade,
    Answered,
    Unanswered,
    PushedBack { wait_ms: Option<u64> },
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::NotMade),
        8 => Just(End::Answered),
        1 => Just(End::Unanswered),
        1 => Just(End::PushedBack { wait_ms: None }),
        1 => (1_u64..20_000).prop_map(|ms| End::PushedBack { wait_ms: Some(ms) }),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0_u64..6, prop::bool::weighted(0.3)).prop_map(|(saga, undo)| Happens::Joins {
            saga,
            direction: if undo { Undo } else { Forward },
        }),
        1 => index().prop_map(Happens::Leaves),
        5 => (index(), end()).prop_map(|(index, end)| Happens::Ends(index, end)),
        1 => index().prop_map(Happens::WaitsForStream),
        2 => index().prop_map(Happens::HasStream),
        2 => (1_u64..3_000).prop_map(|ms| Happens::Passes { ms }),
    ]
}

/// One that waits.
#[derive(Debug)]
struct Waiter {
    id: u64,
    caller: Caller,
    ticket: Ticket,
    /// How many turns each other saga has had since this one's saga waits or had its last.
    turns_of_others: HashMap<u64, usize>,
}

/// A gate, and what is known of it from outside.
struct World {
    gate: Gate<u64>,
    now: Timestamp,
    waiting: Vec<Waiter>,
    under_way: Vec<Entry>,
    began: Vec<Timestamp>,
    joined: u64,
}

impl World {
    fn new(rate: Option<u32>) -> Self {
        let now = Timestamp(1_000_000);
        let gate = Gate::new(NonZero::new(MAX).unwrap(), rate.and_then(NonZero::new), now);
        let (waiting, under_way, began) = (Vec::new(), Vec::new(), Vec::new());
        Self { gate, now, waiting, under_way, began, joined: 0 }
    }

    fn happens(&mut self, happens: Happens) {
        match happens {
            Happens::Joins { saga, direction } => self.join(saga, direction),
            Happens::Leaves(index) if !self.waiting.is_empty() => {
                let left = self.waiting.remove(index.index(self.waiting.len()));
                self.gate.leave(left.ticket);
            }
            Happens::Ends(index, end) if !self.under_way.is_empty() => {
                let ended = self.under_way.remove(index.index(self.under_way.len()));
                self.end(ended, end);
            }
            Happens::WaitsForStream(index) if !self.under_way.is_empty() => {
                let entry = index.index(self.under_way.len());
                self.gate.waits_for_stream(&mut self.under_way[entry]);
            }
            Happens::HasStream(index) if !self.under_way.is_empty() => {
                let entry = index.index(self.under_way.len());
                self.gate.has_stream(&mut self.under_way[entry], self.now);
            }
            Happens::Passes { ms } => self.now = self.now.after(Duration::from_millis(ms)),
            Happens::Leaves(_)
            | Happens::Ends(..)
            | Happens::WaitsForStream(_)
            | Happens::HasStream(_) => {}
        }
        self.settle();
        self.check();
    }

    fn join(&mut self, saga: u64, direction: Direction) {
        if let Some(entry) = self.gate.enter(self.now) {
            assert!(self.waiting.is_empty(), "nobody goes before those who wait");
            return self.begins(entry);
        }
        self.joined += 1;
        let id = self.joined;
        let caller = Caller { saga, step: id, direction };
        let ticket = self.gate.join(caller, id);
        self.waiting.push(Waiter { id, caller, ticket, turns_of_others: HashMap::new() });
    }

    fn end(&mut self, entry: Entry, end: End) {
        let method = PathAndQuery::from_static("/work.v1.Work/Do");
        let signal = match end {
            End::NotMade => Signal::None,
            End::Answered => Signal::Answered { method: &method, limit: Duration::from_secs(5) },
            End::Unanswered => Signal::Unanswered,
            End::PushedBack { wait_ms } => {
                Signal::PushedBack { wait: wait_ms.map(Duration::from_millis) }
            }
        };
        self.gate.end(entry, signal, self.now);
    }

    fn settle(&mut self) {
        while let Next::Go(id, entry) = self.gate.next(self.now) {
            let index = self.waiting.iter().position(|waiter| waiter.id == id);
            let next = self.waiting.remove(index.expect("who has left has no turn"));
            self.has_its_turn(&next);
            self.begins(entry);
        }
    }

    fn begins(&mut self, entry: Entry) {
        self.under_way.push(entry);
        self.began.push(self.now);
        let Snapshot { in_flight, limit, .. } = self.gate.snapshot(self.now);
        assert!(in_flight <= limit, "{in_flight} are under way, and {limit} may be");
    }

    fn has_its_turn(&mut self, next: &Waiter) {
        let Caller { saga, direction, .. } = next.caller;
        for waiter in &mut self.waiting {
            assert!(waiter.caller.direction == direction || direction == Undo, "undos go first");
            if waiter.caller.direction != direction {
                continue;
            }
            match waiter.caller.saga == saga {
                true => {
                    assert!(waiter.id > next.id, "what a saga waits with keeps its order");
                    waiter.turns_of_others.clear();
                }
                false => {
                    let turns = waiter.turns_of_others.entry(saga).or_default();
                    *turns += 1;
                    assert!(*turns <= 1, "saga {saga} has two turns before {waiter:?} has one");
                }
            }
        }
    }

    /// Nothing waits that may begin.
    fn check(&mut self) {
        let Snapshot { in_flight, waiting, limit, max, .. } = self.gate.snapshot(self.now);
        assert_eq!((in_flight, waiting, max), (self.under_way.len(), self.waiting.len(), MAX));
        assert!((1..=MAX).contains(&limit));
        let without_stream = self.under_way.iter().any(|entry| entry.is_without_stream());
        match self.gate.next(self.now) {
            Next::Idle => assert!(waiting == 0 || in_flight >= limit || without_stream),
            Next::At(instant) => assert!(instant > self.now && waiting > 0),
            Next::Go(..) => panic!("it was let in by nobody"),
        }
    }

    /// Lets every call end well, and time pass where nothing else helps: everybody who waits has a turn then.
    fn finish(&mut self) {
        let mut rounds = 0;
        while !self.waiting.is_empty() {
            rounds += 1;
            assert!(rounds < 10_000, "{:?} wait for ever", self.waiting);
            for entry in std::mem::take(&mut self.under_way) {
                self.end(entry, End::Answered);
            }
            self.settle();
            self.check();
            if let Next::At(instant) = self.gate.next(self.now) {
                self.now = instant;
                self.settle();
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_limit_holds_and_whoever_waits_has_a_turn_in_order(
        happenings in prop::collection::vec(happens(), 1..200),
        rate in prop::option::of(Just(RATE)),
    ) {
        let mut world = World::new(rate);
        for happening in happenings {
            world.happens(happening);
        }
        world.finish();
        if rate.is_some() {
            for (index, first) in world.began.iter().enumerate() {
                let until = first.after(Duration::from_millis(999));
                let second = world.began[index..].iter().take_while(|began| **began <= until);
                prop_assert!(second.count() <= RATE as usize + BURST);
            }
        }
    }

    #[test]
    fn a_place_in_line_is_the_number_of_those_that_go_before(
        callers in prop::collection::vec((0_u64..5, any::<bool>()), 1..40),
        leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut line = Line::default();
        let mut waiting = Vec::new();
        for (step, (saga, undo)) in (0..).zip(callers) {
            let caller = Caller { saga, step, direction: if undo { Undo } else { Forward } };
            waiting.push((caller, line.join(caller, caller)));
        }
        for index in leaving {
            if !waiting.is_empty() {
                let (_, ticket) = waiting.remove(index.index(waiting.len()));
                line.leave(ticket);
            }
        }
        prop_assert_eq!(line.len(), waiting.len());
        let told: Vec<_> = waiting.iter().map(|(caller, _)| (*caller, line.ahead_of(*caller))).collect();
        let order: Vec<Caller> = std::iter::from_fn(|| line.pop()).collect();
        for (caller, ahead) in told {
            prop_assert_eq!(ahead, order.iter().position(|other| *other == caller));
        }
        prop_assert!(line.is_empty());
    }
}

fn answered(method: &PathAndQuery) -> Signal<'_> {
    Signal::Answered { method, limit: Duration::from_secs(5) }
}

#[test]
fn a_participant_that_asked_to_be_left_alone_is_asked_by_one_call_after_a_second_and_less_often_then()
 {
    let (mut world, minute) = (World::new(None), Some(Duration::from_mins(1)));
    world.join(1, Forward);
    let first = world.under_way.pop().unwrap();
    world.gate.end(first, Signal::PushedBack { wait: minute }, world.now);
    let asked_at = world.now;
    world.join(2, Forward);
    world.join(3, Forward);
    let mut probes = Vec::new();
    while probes.len() < 7 {
        let Next::At(instant) = world.gate.next(world.now) else { panic!("nobody asks") };
        world.now = instant;
        world.settle();
        let probe = world.under_way.pop().unwrap();
        assert_eq!(world.under_way.len(), 0, "one at a time");
        probes.push(instant.since(asked_at).as_secs());
        world.gate.end(probe, Signal::PushedBack { wait: minute }, world.now);
        world.join(4, Forward);
    }
    assert_eq!(probes, [1, 3, 7, 15, 31, 61, 91]);
}

#[test]
fn a_push_back_that_was_not_meant_for_all_holds_the_others_for_a_second() {
    let (mut world, hour) = (World::new(None), Some(Duration::from_hours(1)));
    let method = PathAndQuery::from_static("/work.v1.Work/Do");
    world.join(1, Forward);
    let first = world.under_way.pop().unwrap();
    world.gate.end(first, Signal::PushedBack { wait: hour }, world.now);
    world.join(2, Forward);
    let second = world.now.after(Duration::from_secs(1));
    assert_eq!(world.gate.next(world.now), Next::At(second));
    world.now = second;
    world.settle();
    let probe = world.under_way.pop().unwrap();
    world.gate.end(probe, answered(&method), world.now);
    assert_eq!(world.gate.snapshot(world.now).left_alone_until, None);
    // Nor is anybody held by the next call of the saga that was pushed back.
    world.join(1, Forward);
    let again = world.under_way.pop().unwrap();
    world.gate.end(again, Signal::PushedBack { wait: hour }, world.now);
    world.join(3, Forward);
    assert_eq!(world.under_way.len(), 1);
}

#[test]
fn what_was_answered_of_the_calls_before_does_not_end_the_time_that_was_asked_for() {
    let (mut world, second) = (World::new(None), Some(Duration::from_secs(1)));
    let method = PathAndQuery::from_static("/work.v1.Work/Do");
    world.join(1, Forward);
    world.join(2, Forward);
    let (second_call, first_call) =
        (world.under_way.pop().unwrap(), world.under_way.pop().unwrap());
    world.gate.end(first_call, Signal::PushedBack { wait: second }, world.now);
    world.gate.end(second_call, answered(&method), world.now);
    world.join(3, Forward);
    assert!(world.under_way.is_empty());
}

#[test]
fn while_streams_are_short_one_call_at_a_time_comes_out_of_the_line() {
    let mut world = World::new(None);
    world.join(1, Forward);
    world.gate.waits_for_stream(&mut world.under_way[0]);
    for saga in 2..6 {
        world.join(saga, Forward);
    }
    assert_eq!(world.under_way.len(), 1, "the others are in line, where it is fair");
    for under_way in 2..6 {
        let last = world.under_way.last_mut().unwrap();
        world.gate.has_stream(last, world.now);
        world.settle();
        assert_eq!(world.under_way.len(), under_way);
    }
}

async fn enter<'l>(limiter: &'l Limiter, saga: &str) -> Permit<'l> {
    limiter.enter(saga, "work", Forward).await
}

fn limiter(in_flight: usize, rate: Option<u32>) -> (Limiter, clock::ManualTime) {
    let (clock, time) = Clock::manual(Timestamp(1_000));
    let limits = CallLimits {
        in_flight: NonZero::new(in_flight).unwrap(),
        rate: rate.and_then(NonZero::new),
    };
    (Limiter::new(clock, limits), time)
}

#[tokio::test]
async fn whoever_goes_away_while_its_turn_comes_gives_it_to_the_next() {
    let (limiter, _) = limiter(1, None);
    let first = enter(&limiter, "1").await;
    let mut second = Box::pin(enter(&limiter, "2"));
    let mut third = Box::pin(enter(&limiter, "3"));
    assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
    drop(first);
    // It was let in, and never looked.
    drop(second);
    let third = third.now_or_never().expect("its turn has come");
    assert_eq!(limiter.calls(), 1);
    drop(third);
    assert_eq!(limiter.calls(), 0);
}

#[tokio::test]
async fn a_rate_is_kept_to_by_the_clock_with_nobody_else_to_wake_those_who_wait() {
    let (limiter, time) = limiter(64, Some(40));
    let started = Timestamp(1_000);
    let limited = async {
        let calls = (0..84).map(|saga| {
            let limiter = &limiter;
            async move { enter(limiter, &saga.to_string()).await.end(Signal::None) }
        });
        join_all(calls).await;
    };
    let ticking = async {
        loop {
            time.advance_to_next().await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { () = limited => {}, () = ticking => {} }
    let Limiter::Limited(limited) = &limiter else { panic!() };
    // Four at once, and eighty at forty a second.
    assert_eq!(limited.clock.now().since(started), Duration::from_secs(2));
}

#[tokio::test]
async fn who_waits_is_shown_where_it_stands_and_what_it_waits_for() {
    let (limiter, _) = limiter(1, None);
    let first = enter(&limiter, "1").await;
    let mut second = Box::pin(enter(&limiter, "2"));
    let mut third = Box::pin(limiter.enter("3", "work", Undo));
    assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
    let second_place = limiter.place("2", "work", Forward).unwrap();
    assert_eq!(second_place.position, 2, "undos go first");
    assert_eq!((second_place.line.in_flight, second_place.line.limit), (1, 1));
    assert_eq!(second_place.line.waiting, 2);
    assert_eq!(limiter.place("1", "work", Forward), None, "it is under way");
    assert_eq!(limiter.place("2", "work", Undo), None);
    drop(first);
    let third = third.now_or_never().unwrap();
    assert_eq!(limiter.place("2", "work", Forward).unwrap().position, 1);
    drop(third);
}
