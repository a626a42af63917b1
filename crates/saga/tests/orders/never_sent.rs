//! Calls that certainly did not reach their participant: they use up nothing but time, and leave nothing to undo.

use std::{num::NonZeroU32, time::Duration};

use saga::{Answer, Attempts, Command, Direction, Event, Outcome, Reason, Retry, Step, StepStatus};

use crate::{
    A, B, DEADLINE, Journal, behind, by_hand, declined, done, not_sent, pivot, retry, step, unknown,
};

/// When the last attempt of a call begins: a tenth of the ten seconds is left for undoing.
const LAST_ATTEMPT: u64 = 9_000;

fn patient() -> Retry {
    Retry { age_limit: None, cap: Duration::from_millis(800), ..retry() }
}

fn turned_back(saga: &mut Journal, at: u64) -> Reason {
    let decided = saga.decide(at);
    let [Command::Record(event @ Event::TurnedBack { cause })] = &decided[..] else {
        panic!("{decided:?}")
    };
    saga.add(at, event.clone());
    cause.reason.clone()
}

fn waits(saga: &Journal, now: u64) -> u64 {
    match saga.decide(now)[..] {
        [Command::WaitUntil(due)] => due.0 - now,
        ref other => panic!("it does not wait: {other:?}"),
    }
}

#[test]
fn a_call_that_was_not_sent_uses_up_no_attempt_and_is_sent_again_after_a_growing_back_off() {
    let mut saga = Journal::of(vec![Step { retry: patient(), ..step("freeze") }]);
    saga.intended(1, A);
    for (at, wait) in [(100, 100), (300, 200), (700, 400), (1_500, 800), (3_000, 800), (4_000, 800)]
    {
        saga.answered(at, A, not_sent());
        assert_eq!(waits(&saga, at), wait);
        assert_eq!(saga.state.step(A).status, StepStatus::NotSent);
        assert_eq!(saga.state.step(A).reason.unwrap().message, "connection refused");
    }
    saga.answered(5_000, A, unknown());
    assert_eq!(waits(&saga, 5_000), 100, "the first of three attempts that count");
    assert_eq!(saga.state.step(A).status, StepStatus::Unknown);
    saga.answered(5_100, A, done());
    assert_eq!(saga.decide(5_100), [Command::Finish(Outcome::Succeeded)]);
}

#[test]
fn a_participant_that_comes_back_is_found_not_much_later_than_after_a_quarter_of_its_absence() {
    let policy = Retry { cap: Duration::from_secs(10), age_limit: None, ..Retry::call_default() };
    let definition = vec![pivot("charge"), Step { retry: policy, ..behind("confirm") }];
    let mut saga = Journal::of(definition);
    saga.done(0, A).intended(0, B);
    let (mut at, mut waited) = (1, Vec::new());
    while at < 120_000 {
        saga.answered(at, B, not_sent());
        waited.push((at, waits(&saga, at)));
        at += waits(&saga, at);
    }
    for (at, wait) in &waited {
        assert!(*wait <= (at / 4 + 2).clamp(1_000, 10_000), "{wait} ms at {at}");
    }
    assert!(waited.len() < 40, "{} attempts", waited.len());
    assert_eq!(waited.last().map(|(_, wait)| *wait), Some(10_000));
}

#[test]
fn a_step_that_was_never_sent_turns_its_saga_back_with_the_true_cause_and_has_nothing_to_undo() {
    let mut saga = Journal::of(vec![Step { retry: patient(), ..step("freeze") }]);
    saga.intended(1, A).answered(8_900, A, not_sent());
    assert_eq!(waits(&saga, 8_900), 100);
    saga.answered(LAST_ATTEMPT, A, not_sent());
    assert_eq!(turned_back(&mut saga, LAST_ATTEMPT), Reason::new("NOT_SENT", "connection refused"));
    assert_eq!(saga.decide(LAST_ATTEMPT), [Command::Finish(Outcome::Compensated)]);
    assert_eq!(saga.state.step(A).status, StepStatus::NotSent);
}

#[test]
fn one_attempt_that_may_have_landed_is_enough_to_be_undone() {
    for (first, second) in [(not_sent(), unknown()), (unknown(), not_sent())] {
        let mut saga = Journal::of(vec![step("freeze")]);
        saga.intended(1, A).answered(2, A, first).answered(200, A, second);
        saga.add(201, Event::Cancelled { reason: by_hand() });
        assert!(saga.prepares(201, Direction::Undo, A));
    }
}

#[test]
fn an_attempt_that_was_lost_with_its_node_may_have_landed() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(1, A).answered(2, A, not_sent());
    saga.add(500, Event::Recovered { node: "n2".to_owned() }).answered(501, A, not_sent());
    saga.add(502, Event::Cancelled { reason: by_hand() });
    assert!(saga.prepares(502, Direction::Undo, A));
}

#[test]
fn a_call_that_was_not_sent_when_its_saga_turned_back_is_not_sent_any_more() {
    let mut saga = Journal::of(vec![step("freeze"), step("charge")]);
    saga.done(1, A).intended(2, B).add(3, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.calls(3), [(Direction::Forward, B)], "it may be under way");
    saga.answered(4, B, not_sent());
    assert!(saga.prepares(4, Direction::Undo, A));
    assert!(!saga.prepares(4, Direction::Undo, B));
}

#[test]
fn a_pivot_without_an_undo_is_turned_back_from_as_long_as_nothing_of_it_was_sent() {
    let charge = || Step { undo: false, retry: patient(), ..pivot("charge") };
    let mut saga = Journal::of(vec![charge()]);
    saga.intended(1, A);
    assert!(saga.try_add(1, Event::Cancelled { reason: by_hand() }).is_err(), "it is under way");
    saga.answered(8_950, A, not_sent());
    assert_eq!(waits(&saga, 8_950), 50);
    saga.answered(LAST_ATTEMPT, A, not_sent());
    assert_eq!(turned_back(&mut saga, LAST_ATTEMPT).code, "NOT_SENT");
    assert_eq!(saga.decide(LAST_ATTEMPT), [Command::Finish(Outcome::Compensated)]);

    let mut saga = Journal::of(vec![charge()]);
    saga.intended(1, A).answered(2, A, not_sent());
    assert!(saga.try_add(102, Event::Cancelled { reason: by_hand() }).is_err(), "it is under way");
    saga.add(101, Event::Cancelled { reason: by_hand() });
    assert_eq!(saga.decide(101), [Command::Finish(Outcome::Compensated)]);

    let mut saga = Journal::of(vec![charge()]);
    saga.intended(1, A).answered(2, A, not_sent());
    assert!(saga.state.deadline_holds(&saga.definition), "it is not sent behind the deadline");
    saga.answered(200, A, unknown());
    assert!(!saga.state.deadline_holds(&saga.definition));

    let mut saga = Journal::of(vec![charge()]);
    saga.intended(1, A).answered(2, A, unknown()).answered(8_950, A, not_sent());
    assert_eq!(waits(&saga, 8_950), 100, "one attempt may have landed, so no deadline holds");
    saga.answered(DEADLINE.0 + 1, A, not_sent());
    assert_eq!(saga.calls(DEADLINE.0 + 900), [(Direction::Forward, A)]);
    saga.answered(DEADLINE.0 + 901, A, declined());
    assert_eq!(turned_back(&mut saga, DEADLINE.0 + 901).code, "INSUFFICIENT_FUNDS");
}

#[test]
fn an_undo_and_a_call_behind_the_pivot_that_are_never_sent_need_a_person_when_they_are_too_old() {
    let mut undo = Journal::of(vec![step("freeze")]);
    undo.done(1, A).add(2, Event::Cancelled { reason: by_hand() });
    undo.add(3, Event::UndoIntended { step: A, request: "".into() });
    let mut call = Journal::of(vec![pivot("charge"), behind("confirm")]);
    call.done(1, A).intended(3, B);
    for at in (10..2_000).step_by(100) {
        undo.undo_answered(at, A, not_sent());
        call.answered(at, B, not_sent());
        assert!(waits(&undo, at) <= 100 && waits(&call, at) <= 100);
    }
    undo.undo_answered(2_003, A, not_sent());
    call.answered(2_003, B, not_sent());
    for saga in [undo, call] {
        let decided = saga.decide(2_003);
        let [Command::Record(Event::Parked { reason, .. })] = &decided[..] else {
            panic!("{decided:?}")
        };
        assert_eq!(reason.message, "connection refused");
    }
}

#[test]
fn attempts_that_are_stated_are_a_limit_on_either_side_of_the_pivot() {
    let three = NonZeroU32::new(3).map_or(Attempts::Unlimited, Attempts::Limited);
    let limited = || Retry { attempts: three, ..patient() };
    let mut before = Journal::of(vec![Step { retry: limited(), ..step("freeze") }]);
    before.intended(1, A);
    let mut behind =
        Journal::of(vec![pivot("charge"), Step { retry: limited(), ..behind("confirm") }]);
    behind.done(1, A).intended(2, B);
    for at in [10, 1_000] {
        before.answered(at, A, unknown()).answered(at + 200, A, not_sent());
        behind.answered(at, B, unknown()).answered(at + 200, B, not_sent());
    }
    before.answered(2_000, A, unknown());
    assert_eq!(turned_back(&mut before, 2_000).code, Reason::STEP_UNANSWERED);
    behind.answered(2_000, B, unknown());
    let decided = behind.decide(2_000);
    assert!(
        matches!(decided[..], [Command::Record(Event::Parked { step: Some(B), .. })]),
        "{decided:?}"
    );
    // It is under way when its person looks, and its answer is as good as any.
    behind.add(2_001, Event::Retried { reason: by_hand() }).answered(2_002, B, done());
    assert_eq!(behind.decide(2_002), [Command::Finish(Outcome::Succeeded)]);
}

#[test]
fn a_call_that_is_pushed_back_until_it_is_too_old_ends_with_the_push_back_as_its_reason() {
    let push_back = || Answer::PushedBack {
        reason: Reason::new("RESOURCE_EXHAUSTED", "the queue is full"),
        wait: Duration::ZERO,
    };
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(1, A).answered(2, A, unknown()).answered(1_999, A, push_back());
    saga.answered(2_001, A, push_back());
    let reason = turned_back(&mut saga, 2_001);
    assert_eq!(reason, Reason::new("RESOURCE_EXHAUSTED", "the queue is full"));
    assert!(saga.prepares(2_001, Direction::Undo, A));
}

#[test]
fn a_call_is_asked_without_a_limit_of_attempts_until_there_is_only_time_to_undo() {
    let mut saga = Journal::of(vec![Step { retry: Retry::call_default(), ..step("freeze") }]);
    saga.intended(1, A);
    let (mut at, mut attempts) = (2, 0);
    while at < LAST_ATTEMPT {
        saga.answered(at, A, unknown());
        at += waits(&saga, at);
        attempts += 1;
    }
    assert_eq!((at, attempts), (LAST_ATTEMPT, 7));
    assert_eq!(saga.calls(at), [(Direction::Forward, A)]);
    saga.answered(DEADLINE.0 - 1, A, unknown());
    assert_eq!(turned_back(&mut saga, DEADLINE.0 - 1).code, Reason::STEP_UNANSWERED);
}
