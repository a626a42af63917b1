//! A small driver with a clock of its own: carries commands out, answers from a script, checks as it goes.

mod checks;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use saga::{
    Answer, Command, Direction, Event, Jitter, Reason, Record, SagaState, Status, StepId,
    TimeRules, Timestamp, apply, decide,
};

use crate::{
    case::{Case, Order, Reply},
    world::World,
};

type Call = (StepId, Direction);

pub(crate) struct Run<'a> {
    case: &'a Case,
    state: SagaState,
    now: Timestamp,
    pub(crate) records: Vec<Record>,
    /// The state after each record, and what was decided from it.
    pub(crate) seen: Vec<(SagaState, Timestamp, Vec<Command>)>,
    /// Under way: when each is answered, and how.
    calls: BTreeMap<Call, (Timestamp, Reply)>,
    requests: BTreeMap<Call, bytes::Bytes>,
    /// Every attempt that was made, by the record that it followed.
    made: BTreeSet<(StepId, bool, u64)>,
    world: World,
    replies: usize,
    orders: usize,
    crash_after: Option<usize>,
    met: Vec<&'static str>,
    by_hand: bool,
}

impl<'a> Run<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        Self {
            case,
            state: SagaState::new(&case.definition),
            now: Timestamp(1_000),
            records: Vec::new(),
            seen: Vec::new(),
            calls: BTreeMap::new(),
            requests: BTreeMap::new(),
            made: BTreeSet::new(),
            world: World::default(),
            replies: 0,
            orders: 0,
            crash_after: None,
            met: Vec::new(),
            by_hand: false,
        }
    }

    /// Crashes once there are this many records.
    pub(crate) fn crash_after(mut self, records: usize) -> Self {
        self.crash_after = Some(records);
        self
    }

    pub(crate) fn met(self) -> Vec<&'static str> {
        self.met
    }

    pub(crate) fn play(mut self) -> Self {
        let deadline = self.now.after(self.case.definition.deadline());
        self.record(Event::Started { deadline, rules: TimeRules::CURRENT });
        for _ in 0..4_000 {
            if self.state.is_ended() {
                self.judge();
                return self;
            }
            let wake = self.settle();
            if !self.state.is_ended() {
                self.pass_time(wake);
            }
        }
        panic!("the saga does not end: {:?}", self.state);
    }

    fn record(&mut self, event: Event) {
        self.try_record(event).unwrap();
    }

    fn try_record(&mut self, event: Event) -> Result<(), saga::IllegalEvent> {
        let record = Record { seq: self.state.next_seq(), at: self.now, event };
        apply(&mut self.state, &self.case.definition, &record)?;
        self.note(&record.event);
        self.records.push(record);
        let commands = decide(&self.case.definition, &self.state, self.now);
        self.seen.push((self.state.clone(), self.now, commands));
        Ok(())
    }

    /// Decides until only calls and waits are left, and makes the calls.
    fn settle(&mut self) -> Option<Timestamp> {
        loop {
            if self.crash_after.is_some_and(|records| self.records.len() >= records) {
                self.crash_after = None;
                // A saga that has ended is not taken up again.
                if !self.state.is_ended() {
                    self.crash();
                }
            }
            let commands = decide(&self.case.definition, &self.state, self.now);
            let mut wake = None;
            let mut decided = Vec::new();
            let mut calls = Vec::new();
            for command in commands {
                match command {
                    Command::Prepare { step, direction } => {
                        decided.push(self.prepare(step, direction))
                    }
                    Command::Record(event) => decided.push(event),
                    Command::Finish(outcome) => {
                        decided.push(Event::Finished { outcome, reply: "".into() })
                    }
                    Command::Call { step, direction, request, durable, follows, .. } => {
                        assert!(durable < self.state.next_seq());
                        assert!(follows <= durable);
                        calls.push(((step, direction), request, follows));
                    }
                    Command::WaitUntil(instant) => {
                        assert!(wake.replace(instant).is_none(), "two waits at once");
                        assert!(instant > self.now, "a wait for what has passed");
                    }
                }
            }
            if decided.is_empty() {
                self.make(calls);
                return wake;
            }
            decided.into_iter().for_each(|event| self.record(event));
        }
    }

    fn prepare(&self, step: StepId, direction: Direction) -> Event {
        let request = bytes::Bytes::from(format!("{step:?} {direction:?}"));
        let skip =
            self.case.definition.step(step).conditional && self.case.conditions >> step.0 & 1 == 1;
        match direction {
            Direction::Forward if skip => Event::Skipped { step },
            Direction::Forward => Event::CallIntended { step, request },
            Direction::Undo => Event::UndoIntended { step, request },
        }
    }

    fn make(&mut self, calls: Vec<(Call, bytes::Bytes, u64)>) {
        let undos =
            calls.iter().filter(|((_, direction), ..)| *direction == Direction::Undo).count();
        if undos > 1 {
            self.met.push("undid side by side");
        }
        if undos > 0 && self.state.status() == Status::Attention {
            self.met.push("undid beside a stuck one");
        }
        for ((step, direction), request, follows) in calls {
            let first = self.requests.entry((step, direction)).or_insert_with(|| request.clone());
            assert_eq!(*first, request, "another request under the same key");
            if self.calls.contains_key(&(step, direction)) {
                continue;
            }
            self.check_order(step, direction);
            let made = self.made.insert((step, direction == Direction::Undo, follows));
            assert!(made, "two attempts of {step:?} {direction:?} follow record {follows}");
            let (reply, delay) =
                self.case.replies.get(self.replies).copied().unwrap_or((Reply::Done, 1));
            self.replies += 1;
            let at = self.now.after(Duration::from_millis(delay + 1));
            self.calls.insert((step, direction), (at, reply));
        }
    }

    /// Lets the next thing happen: an answer, an order, or the end of a wait.
    fn pass_time(&mut self, wake: Option<Timestamp>) {
        let answered = self
            .calls
            .iter()
            .min_by_key(|(_, (at, _))| *at)
            .map(|(call, (at, reply))| (*call, *at, *reply));
        let order = self.case.orders.get(self.orders).copied();
        let order_at = order.map(|(at, _)| Timestamp(1_000 + at));
        let next = [wake, answered.map(|(_, at, _)| at), order_at].into_iter().flatten().min();
        let Some(next) = next else { return self.help() };
        self.now = self.now.max(next);
        if order_at.is_some_and(|at| at <= self.now) {
            self.orders += 1;
            return self.apply_order(order.unwrap().1);
        }
        if let Some((call, at, reply)) = answered
            && at <= self.now
        {
            self.calls.remove(&call);
            self.answer(call, reply);
        }
    }

    /// Nothing is under way: only a saga that is held may stand still, and then a person helps.
    fn help(&mut self) {
        match self.state.status() {
            Status::Paused => self.apply_order(Order::Resume),
            // A person retries first and then skips: a participant that always declines needs more than retries.
            Status::Attention => {
                self.check_only_ancestors_wait();
                match self.replies < self.case.replies.len() {
                    true => self.apply_order(Order::Retry),
                    false => self.apply_order(Order::Resolve),
                }
            }
            status => panic!("the saga is {status:?} and nothing is under way: {:?}", self.state),
        }
    }

    fn apply_order(&mut self, order: Order) {
        let reason = || "by hand".to_owned();
        let event = match order {
            Order::Pause => Event::Paused { reason: reason() },
            Order::Resume => Event::Resumed { reason: reason() },
            Order::Retry => Event::Retried { reason: reason() },
            Order::Cancel => Event::Cancelled { reason: reason() },
            Order::Resolve => Event::Resolved { reason: reason() },
            Order::Skip(step) => {
                let step =
                    StepId(step % u16::try_from(self.case.definition.steps().len()).unwrap());
                Event::SkippedByHand { step, reason: reason() }
            }
            Order::Crash => return self.crash(),
        };
        let before = self.state.clone();
        match self.try_record(event) {
            Ok(()) if matches!(order, Order::Skip(_)) => self.by_hand = true,
            Ok(()) => {}
            Err(_) => assert_eq!(before, self.state, "a refused order changed the saga"),
        }
    }

    /// The node stops: what was under way may land or not, and its answer is lost.
    fn crash(&mut self) {
        // Also a call that waits, or was only intended: the engine is not told that it was not under way.
        self.world.sent.extend(self.records.iter().filter_map(|record| match record.event {
            Event::CallIntended { step, .. } => Some(step),
            _ => None,
        }));
        let known: Vec<_> = self.state.under_way(self.now).collect();
        for ((step, direction), (_, reply)) in std::mem::take(&mut self.calls) {
            let lost =
                known.iter().find(|known| (known.step, known.direction) == (step, direction));
            let follows = lost.unwrap().follows;
            assert!(self.made.contains(&(step, direction == Direction::Undo, follows)));
            let landed = matches!(reply, Reply::Done | Reply::Unknown { landed: true });
            match direction {
                Direction::Forward if landed => {
                    self.world.land(step);
                }
                Direction::Undo if landed => self.world.undo(step),
                _ => {}
            }
            self.met.push(match self.state.cause() {
                None => "recovered with a call under way",
                Some(_) => "recovered while compensating",
            });
        }
        self.record(Event::Recovered { node: "n".to_owned() });
    }

    fn answer(&mut self, (step, direction): Call, reply: Reply) {
        let reason = || Reason::new("SCRIPTED", "as the script says");
        let done = || Answer::Done { response: "done".into() };
        let answer = match (reply, direction) {
            // Behaves as an inbox: a repeat gets the first answer, and a call after its undo is refused.
            (Reply::Declined | Reply::Unusable, Direction::Forward)
                if self.world.effects.contains(&step) =>
            {
                done()
            }
            (Reply::Done, Direction::Forward) => match self.world.undone.contains(&step) {
                true => Answer::Declined(Reason::new("SUPERSEDED", "too late")),
                false => {
                    self.world.land(step);
                    done()
                }
            },
            (Reply::Done, Direction::Undo) => {
                let held = self.world.effects.contains(&step);
                self.world.undo(step);
                if held { done() } else { Answer::NothingToUndo }
            }
            (Reply::Unknown { landed }, _) => {
                match direction {
                    Direction::Forward if landed => {
                        self.world.land(step);
                    }
                    Direction::Undo if landed => self.world.undo(step),
                    _ => {}
                }
                Answer::Unknown(reason())
            }
            (Reply::Declined, _) => Answer::Declined(reason()),
            (Reply::PushedBack { wait_ms }, _) => {
                self.met.push("pushed back");
                Answer::PushedBack { reason: reason(), wait: Duration::from_millis(wait_ms) }
            }
            (Reply::NotSent, _) => {
                self.met.push("not sent");
                Answer::NotSent(reason())
            }
            (Reply::Unusable, _) => Answer::Unusable(reason()),
        };
        if direction == Direction::Forward && !matches!(answer, Answer::NotSent(_)) {
            self.world.sent.insert(step);
        }
        if direction == Direction::Forward
            && self.state.cause().is_some()
            && matches!(answer, Answer::Done { .. })
        {
            self.met.push("done only after it turned back");
        }
        let pivot = self.case.definition.step(step);
        if pivot.pivot && !pivot.undo && matches!(answer, Answer::Unknown(_)) {
            self.met.push("in doubt at a pivot without undo");
        }
        let jitter = Jitter(u16::try_from(self.replies * 997 % 65_536).unwrap());
        self.record(match direction {
            Direction::Forward => Event::CallAnswered { step, answer, jitter },
            Direction::Undo => Event::UndoAnswered { step, answer, jitter },
        });
    }
}
