//! Single journals, written by hand: what an operator, a stopped node or an odd clock does to a saga, where the
//! generated runs would meet it too rarely.

#![expect(clippy::unwrap_used, reason = "a journal that cannot be written has failed its test")]

mod lookups;
mod never_sent;
mod shown;
mod stuck;
mod time;

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use saga::{
    Answer, Attempts, Command, Definition, Direction, Event, IllegalEvent, Jitter, Outcome, Reason,
    Record, Retry, SagaState, Status, Step, StepId, StepStatus, TimeRules, Timestamp, apply,
    decide,
};

const DEADLINE: Timestamp = Timestamp(10_000);
const A: StepId = StepId(0);
const B: StepId = StepId(1);
const C: StepId = StepId(2);

/// Waits of exactly 100 ms, three attempts, for two seconds at most.
fn retry() -> Retry {
    Retry {
        attempts: NonZeroU32::new(3).map_or(Attempts::Unlimited, Attempts::Limited),
        base: Duration::from_millis(100),
        cap: Duration::from_millis(100),
        age_limit: Some(Duration::from_secs(2)),
    }
}

fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        after: None,
        pivot: false,
        undo: true,
        conditional: false,
        timeout: Duration::from_secs(1),
        retry: retry(),
        undo_retry: Retry { attempts: Attempts::Unlimited, ..retry() },
    }
}

fn pivot(name: &str) -> Step {
    Step { pivot: true, ..step(name) }
}

fn behind(name: &str) -> Step {
    Step { undo: false, ..step(name) }
}

struct Journal {
    definition: Definition,
    state: SagaState,
}

impl Journal {
    fn of(steps: Vec<Step>) -> Self {
        Self::started(steps, TimeRules::CURRENT)
    }

    /// Of a saga that was started before the rules about time had a number.
    fn before(steps: Vec<Step>) -> Self {
        Self::started(steps, TimeRules::V1)
    }

    fn started(steps: Vec<Step>, rules: TimeRules) -> Self {
        let definition = Definition::new(steps, Duration::from_secs(10)).unwrap();
        let state = SagaState::new(&definition);
        let mut journal = Self { definition, state };
        journal.add(0, Event::Started { deadline: DEADLINE, rules });
        journal
    }

    fn try_add(&mut self, at: u64, event: Event) -> Result<(), IllegalEvent> {
        let record = Record { seq: self.state.next_seq(), at: Timestamp(at), event };
        apply(&mut self.state, &self.definition, &record)
    }

    fn add(&mut self, at: u64, event: Event) -> &mut Self {
        let told = format!("{event:?}");
        self.try_add(at, event).unwrap_or_else(|fault| panic!("{told}: {fault}"));
        self
    }

    fn intended(&mut self, at: u64, step: StepId) -> &mut Self {
        self.add(at, Event::CallIntended { step, request: Bytes::from_static(b"call") })
    }

    fn answered(&mut self, at: u64, step: StepId, answer: Answer) -> &mut Self {
        self.add(at, Event::CallAnswered { step, answer, jitter: Jitter(u16::MAX) })
    }

    fn undo_answered(&mut self, at: u64, step: StepId, answer: Answer) -> &mut Self {
        self.add(at, Event::UndoAnswered { step, answer, jitter: Jitter(u16::MAX) })
    }

    fn done(&mut self, at: u64, step: StepId) -> &mut Self {
        self.intended(at, step).answered(at, step, done())
    }

    fn decide(&self, now: u64) -> Vec<Command> {
        decide(&self.definition, &self.state, Timestamp(now))
    }

    /// The calls that should be under way, as direction and step.
    fn calls(&self, now: u64) -> Vec<(Direction, StepId)> {
        let call = |command| match command {
            Command::Call { step, direction, .. } => Some((direction, step)),
            _ => None,
        };
        self.decide(now).into_iter().filter_map(call).collect()
    }

    fn prepares(&self, now: u64, direction: Direction, step: StepId) -> bool {
        self.decide(now).contains(&Command::Prepare { step, direction })
    }
}

fn done() -> Answer {
    Answer::Done { response: Bytes::from_static(b"done") }
}

fn unknown() -> Answer {
    Answer::Unknown(Reason::new("UNAVAILABLE", "connection refused"))
}

fn pushed_back() -> Answer {
    Answer::PushedBack {
        reason: Reason::new("RESOURCE_EXHAUSTED", "later"),
        wait: Duration::from_millis(10),
    }
}

fn declined() -> Answer {
    Answer::Declined(Reason::new("INSUFFICIENT_FUNDS", "the wallet is empty"))
}

fn not_sent() -> Answer {
    Answer::NotSent(Reason::new("NOT_SENT", "connection refused"))
}

fn unusable() -> Answer {
    Answer::Unusable(Reason::new("UNIMPLEMENTED", "no such method"))
}

fn by_hand() -> String {
    "INC-7".to_owned()
}

fn skip(step: StepId) -> Event {
    Event::SkippedByHand { step, reason: by_hand() }
}

#[test]
fn a_step_skipped_ahead_of_its_turn_lets_nothing_behind_it_overtake_the_pivot() {
    let mut saga = Journal::of(vec![pivot("charge"), behind("confirm"), behind("mark_paid")]);
    saga.add(1, skip(B));
    assert!(!saga.prepares(1, Direction::Forward, C), "mark_paid goes before charge");
    let early = saga.try_add(1, Event::CallIntended { step: C, request: Bytes::new() });
    assert!(early.is_err(), "mark_paid goes before charge");
    saga.done(2, A);
    assert!(saga.prepares(2, Direction::Forward, C));
}

#[test]
fn a_pivot_skipped_ahead_of_its_turn_is_not_passed_while_a_step_before_it_can_still_fail() {
    let mut saga = Journal::of(vec![step("freeze"), pivot("charge"), behind("confirm")]);
    saga.add(1, skip(B));
    assert!(!saga.state.pivot_passed(&saga.definition));
    saga.intended(2, A).answered(3, A, declined());
    let [Command::Record(turned @ Event::TurnedBack { .. })] = &saga.decide(3)[..] else {
        panic!("a decline before the pivot turns the saga back: {:?}", saga.decide(3));
    };
    saga.add(3, turned.clone());
    assert_eq!(saga.decide(3), [Command::Finish(Outcome::Compensated)]);
}

#[test]
fn a_step_that_may_have_landed_is_undone_although_an_operator_skipped_it() {
    let mut saga = Journal::of(vec![step("freeze"), step("charge")]);
    saga.intended(1, A).answered(2, A, unknown()).add(3, skip(A));
    saga.intended(4, B).answered(5, B, declined());
    saga.add(5, Event::Cancelled { reason: by_hand() });
    assert!(saga.prepares(5, Direction::Undo, A), "{:?}", saga.decide(5));
}

#[test]
fn a_step_that_was_never_called_has_nothing_to_undo_when_it_was_skipped() {
    let mut saga = Journal::of(vec![step("freeze"), step("charge")]);
    saga.add(1, skip(A)).add(2, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.decide(2), [Command::Finish(Outcome::Compensated)]);
}

#[test]
fn a_paused_saga_lets_go_of_a_step_whose_next_attempt_fell_due_in_the_pause() {
    let mut saga = Journal::of(vec![step("freeze"), step("charge")]);
    saga.intended(1, A).answered(2, A, unknown());
    saga.add(50, Event::Paused { reason: by_hand() });
    assert!(saga.decide(5_000).is_empty());
    saga.add(5_000, skip(A)).add(5_001, Event::Resumed { reason: by_hand() });
    assert!(saga.prepares(5_001, Direction::Forward, B));
}

#[test]
fn a_pause_does_not_make_a_call_that_is_under_way_skippable() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(1, A).add(50, Event::Paused { reason: by_hand() });
    assert!(saga.try_add(60, skip(A)).is_err(), "its answer may still come");
    saga.add(70, Event::Recovered { node: "n2".to_owned() });
    saga.add(71, skip(A));
}

#[test]
fn a_pause_does_not_age_a_call() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.done(1, A).add(2, Event::Cancelled { reason: by_hand() });
    saga.add(3, Event::UndoIntended { step: A, request: Bytes::new() });
    saga.undo_answered(4, A, unknown()).add(5, Event::Paused { reason: by_hand() });
    saga.add(60_000, Event::Resumed { reason: by_hand() });
    saga.undo_answered(60_001, A, unknown());
    assert_eq!(saga.state.status(), Status::Compensating);
    assert_eq!(saga.decide(60_001), [Command::WaitUntil(Timestamp(60_101))]);
}

#[test]
fn the_time_that_a_saga_is_held_does_not_count_towards_its_deadline() {
    let paused = || Event::Paused { reason: by_hand() };
    let parked = || Event::Parked { step: None, reason: Reason::new("BAD", "no reply") };
    let resumed = || Event::Resumed { reason: by_hand() };
    let retried = || Event::Retried { reason: by_hand() };
    for (hold, release) in [(paused(), resumed()), (parked(), retried())] {
        let mut saga = Journal::of(vec![step("a"), step("b")]);
        saga.done(0, A).add(4_000, hold).add(1_000_000, release);
        let left = DEADLINE.0 - 4_000;
        assert!(saga.prepares(1_000_000 + left - 1, Direction::Forward, B));
        let turned = saga.decide(1_000_000 + left);
        assert!(matches!(turned[..], [Command::Record(Event::TurnedBack { .. })]), "{turned:?}");
    }
}

#[test]
fn a_retry_prepares_again_what_could_not_be_prepared() {
    let parked = |step| Event::Parked {
        step: Some(step),
        reason: Reason::new("EXPRESSION", "no such field"),
    };
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.add(1, parked(A));
    assert_eq!(saga.state.step(A).status, StepStatus::Stuck);
    saga.add(2, Event::Retried { reason: by_hand() });
    assert!(saga.prepares(2, Direction::Forward, A), "{:?}", saga.decide(2));

    saga.done(3, A).add(4, Event::Cancelled { reason: by_hand() });
    saga.add(5, parked(A)).add(6, Event::Retried { reason: by_hand() });
    assert!(saga.prepares(6, Direction::Undo, A), "{:?}", saga.decide(6));
}

#[test]
fn a_saga_recovered_after_its_deadline_undoes_the_lost_call_without_repeating_it() {
    let slow = Step { timeout: Duration::from_secs(20), ..step("freeze") };
    let mut saga = Journal::of(vec![slow]);
    saga.intended(1, A).add(20_000, Event::Recovered { node: "n2".to_owned() });
    let [Command::Record(turned)] = &saga.decide(20_000)[..] else {
        panic!("the deadline has passed: {:?}", saga.decide(20_000));
    };
    saga.add(20_000, turned.clone());
    assert_eq!(saga.calls(20_000), []);
    assert!(saga.prepares(20_000, Direction::Undo, A));
}

#[test]
fn a_call_lost_with_its_node_is_made_again_at_once_even_by_a_clock_that_is_behind() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(5_000, A).add(1_000, Event::Recovered { node: "n2".to_owned() });
    assert_eq!(saga.calls(1_000), [(Direction::Forward, A)]);
}

#[test]
fn a_participant_that_pushes_back_for_ever_needs_a_person_at_the_age_limit() {
    let push = || Answer::PushedBack {
        reason: Reason::new("RESOURCE_EXHAUSTED", "later"),
        wait: Duration::MAX,
    };
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.done(1, A).add(2, Event::Cancelled { reason: by_hand() });
    saga.add(3, Event::UndoIntended { step: A, request: Bytes::new() });
    saga.undo_answered(4, A, push());
    assert_eq!(saga.decide(4), [Command::WaitUntil(Timestamp(2_003))], "waits past its age limit");
    saga.undo_answered(2_004, A, push());
    assert!(matches!(saga.decide(2_004)[..], [Command::Record(Event::Parked { .. })]));
}

#[test]
fn a_step_that_needs_a_person_before_the_pivot_can_still_be_cancelled_and_is_undone() {
    let mut saga = Journal::of(vec![step("freeze"), pivot("charge")]);
    saga.intended(1, A).answered(2, A, unusable());
    let [Command::Record(parked)] = &saga.decide(2)[..] else { panic!("{:?}", saga.decide(2)) };
    saga.add(2, parked.clone());
    assert_eq!(saga.state.status(), Status::Attention);
    let view = saga.state.step(A);
    assert_eq!((view.status, view.attempts, view.due), (StepStatus::Stuck, 1, None));
    saga.add(3, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.state.status(), Status::Compensating);
    assert_eq!(saga.calls(3), []);
    assert!(saga.prepares(3, Direction::Undo, A));
}

#[test]
fn a_decline_behind_the_pivot_needs_a_person_and_a_retry_asks_again() {
    let mut saga = Journal::of(vec![pivot("charge"), behind("confirm")]);
    saga.done(1, A).intended(2, B).answered(3, B, declined());
    let [Command::Record(parked)] = &saga.decide(3)[..] else { panic!("{:?}", saga.decide(3)) };
    saga.add(3, parked.clone());
    assert!(saga.try_add(4, Event::Cancelled { reason: by_hand() }).is_err());
    saga.add(5, Event::Retried { reason: by_hand() });
    assert_eq!(saga.calls(5), [(Direction::Forward, B)]);
    saga.answered(6, B, done());
    assert_eq!(saga.decide(6), [Command::Finish(Outcome::Succeeded)]);
}

#[test]
fn a_call_behind_the_pivot_without_a_limit_of_attempts_is_asked_until_it_is_too_old() {
    let endless = Retry { attempts: Attempts::Unlimited, ..retry() };
    let confirm = Step { retry: endless, ..behind("confirm") };
    let mut saga = Journal::of(vec![pivot("charge"), confirm]);
    saga.done(1, A).intended(2, B);
    for at in (3..1_500).step_by(100) {
        saga.answered(at, B, unknown());
        assert_eq!(saga.state.status(), Status::Running);
        assert!(matches!(saga.decide(at)[..], [Command::WaitUntil(_)]), "at {at}");
    }
    saga.answered(2_002, B, unknown());
    assert!(matches!(
        saga.decide(2_002)[..],
        [Command::Record(Event::Parked { step: Some(B), .. })]
    ));
}

#[test]
fn nothing_is_undone_before_a_call_behind_it_is_answered_though_that_has_no_undo() {
    let mut saga = Journal::of(vec![step("freeze"), behind("notify")]);
    saga.done(1, A).intended(2, B).add(3, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.calls(3), [(Direction::Forward, B)]);
    assert!(!saga.prepares(3, Direction::Undo, A));
    saga.answered(4, B, unknown());
    assert!(saga.prepares(4, Direction::Undo, A));
    saga.add(4, Event::UndoIntended { step: A, request: Bytes::new() });
    saga.undo_answered(5, A, Answer::NothingToUndo);
    assert_eq!(saga.decide(5), [Command::Finish(Outcome::Compensated)]);
}

#[test]
fn a_saga_does_not_end_compensated_while_a_call_is_under_way() {
    let mut saga = Journal::of(vec![behind("notify")]);
    saga.intended(1, A).add(2, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.calls(2), [(Direction::Forward, A)]);
    let end = Event::Finished { outcome: Outcome::Compensated, reply: Bytes::new() };
    assert!(saga.try_add(3, end).is_err());
}

#[test]
fn only_a_decline_that_was_definite_on_every_attempt_leaves_nothing_to_undo() {
    let answer = |answer| Event::CallAnswered { step: A, answer, jitter: Jitter(0) };
    let cases = [
        ("declined at once", None, false),
        ("after an unknown answer", Some(answer(unknown())), true),
        ("after a push-back", Some(answer(pushed_back())), true),
        ("after a crash", Some(Event::Recovered { node: "n2".to_owned() }), true),
    ];
    for (name, before, undone) in cases {
        let mut saga = Journal::of(vec![step("freeze")]);
        saga.intended(1, A);
        if let Some(event) = before {
            saga.add(2, event);
        }
        saga.answered(500, A, declined());
        let [Command::Record(turned)] = &saga.decide(500)[..] else { panic!("{name}") };
        saga.add(500, turned.clone());
        assert_eq!(saga.prepares(500, Direction::Undo, A), undone, "{name}");
        assert_eq!(saga.decide(500) == [Command::Finish(Outcome::Compensated)], !undone, "{name}");
    }
}

#[test]
fn a_retry_gives_a_fresh_budget() {
    let mut saga = Journal::of(vec![Step { undo_retry: retry(), ..step("freeze") }]);
    saga.done(1, A).add(2, Event::Cancelled { reason: by_hand() });
    saga.add(3, Event::UndoIntended { step: A, request: Bytes::new() });
    for at in [4, 204, 404] {
        saga.undo_answered(at, A, unknown());
    }
    let [Command::Record(parked)] = &saga.decide(404)[..] else { panic!("{:?}", saga.decide(404)) };
    saga.add(404, parked.clone()).add(9_000, Event::Retried { reason: by_hand() });
    saga.undo_answered(9_001, A, unknown());
    assert_eq!(saga.decide(9_001), [Command::WaitUntil(Timestamp(9_101))]);
}

#[test]
fn an_attempt_is_numbered_waits_for_what_is_due_first_and_for_the_whole_journal() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(1, A).answered(2, A, unknown());
    assert_eq!(saga.decide(2), [Command::WaitUntil(Timestamp(102))], "not the deadline");
    let call = Command::Call {
        step: A,
        direction: Direction::Forward,
        attempt: 2,
        request: Bytes::from_static(b"call"),
        durable: 2,
        follows: 2,
    };
    assert_eq!(saga.decide(102), [call, Command::WaitUntil(DEADLINE)]);
}
