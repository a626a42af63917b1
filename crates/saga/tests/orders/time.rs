//! Time, in both directions: back-off, push-backs, budgets, ages, the deadline, and what holds and restarts do to each.

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use saga::{
    Answer, Attempts, Command, Direction, Event, Jitter, Reason, Retry, Status, Step, StepId,
    StepStatus, Timestamp,
};

use crate::{
    A, B, C, DEADLINE, Journal, behind, by_hand, declined, done, pivot, pushed_back, retry, skip,
    step, unknown,
};

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Undo];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn attempts(limit: u32) -> Attempts {
    NonZeroU32::new(limit).map_or(Attempts::Unlimited, Attempts::Limited)
}

/// A policy that shows which back-off it was: 100, 200, 400, 800 ms.
fn doubling() -> Retry {
    Retry { attempts: Attempts::Unlimited, base: ms(100), cap: ms(800), age_limit: None }
}

/// A saga of one step under `policy` in `direction`, whose first attempt is under way since `at`.
fn under_way(at: u64, direction: Direction, policy: Retry) -> Journal {
    let other = Retry { attempts: attempts(1), base: ms(7), cap: ms(7), age_limit: Some(ms(1)) };
    let step = match direction {
        Direction::Forward => Step { retry: policy, undo_retry: other, ..step("freeze") },
        Direction::Undo => Step { retry: other, undo_retry: policy, ..step("freeze") },
    };
    let mut saga = Journal::of(vec![step]);
    match direction {
        Direction::Forward => saga.intended(at, A),
        Direction::Undo => {
            saga.done(0, A).add(at, Event::Cancelled { reason: by_hand() });
            saga.add(at, Event::UndoIntended { step: A, request: Bytes::new() })
        }
    };
    saga
}

/// A step behind the pivot, whose first attempt is under way since `at`.
fn behind_the_pivot(at: u64) -> Journal {
    let mut saga = Journal::of(vec![pivot("charge"), behind("confirm")]);
    saga.done(0, A).intended(at, B);
    saga
}

impl Journal {
    fn attempt(&mut self, at: u64, direction: Direction, answer: Answer) -> &mut Self {
        match direction {
            Direction::Forward => self.answered(at, A, answer),
            Direction::Undo => self.undo_answered(at, A, answer),
        }
    }

    /// Until when nothing is done; panics where something is.
    fn waits(&self, now: u64) -> u64 {
        match self.decide(now)[..] {
            [Command::WaitUntil(Timestamp(due))] => due,
            ref other => panic!("it does not wait: {other:?}"),
        }
    }

    fn recorded(&mut self, at: u64) -> Event {
        let decided = self.decide(at);
        let [Command::Record(event)] = &decided[..] else { panic!("{decided:?}") };
        self.add(at, event.clone());
        event.clone()
    }

    fn can_turn_back(&self) -> bool {
        self.state.can_turn_back(&self.definition, self.state.updated_at())
    }

    fn turns_back(&mut self, at: u64) -> String {
        match self.recorded(at) {
            Event::TurnedBack { cause } => cause.reason.code,
            other => panic!("{other:?}"),
        }
    }

    fn needs_a_person_for(&mut self, at: u64) -> Option<StepId> {
        match self.recorded(at) {
            Event::Parked { step, .. } => step,
            other => panic!("{other:?}"),
        }
    }

    fn retried(&mut self, at: u64) -> &mut Self {
        self.add(at, Event::Retried { reason: by_hand() })
    }

    fn resumed_after(&mut self, paused: u64, resumed: u64) -> &mut Self {
        self.add(paused, Event::Paused { reason: by_hand() });
        self.add(resumed, Event::Resumed { reason: by_hand() })
    }

    fn recovered(&mut self, at: u64) -> &mut Self {
        self.add(at, Event::Recovered { node: "n2".to_owned() })
    }
}

fn push_back(wait: Duration) -> Answer {
    Answer::PushedBack { reason: Reason::new("RESOURCE_EXHAUSTED", "later"), wait }
}

#[test]
fn a_back_off_doubles_up_to_the_cap_of_its_own_direction() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, doubling());
        for (at, wait) in [(1_000, 100), (2_000, 200), (3_000, 400), (4_000, 800), (5_000, 800)] {
            saga.attempt(at, direction, unknown());
            assert_eq!(saga.waits(at), at + wait, "{direction:?}");
        }
    }
}

#[test]
fn a_back_off_ends_where_the_jitter_of_its_answer_says() {
    for direction in BOTH {
        for (jitter, wait) in [(Jitter(0), 50), (Jitter(u16::MAX), 100)] {
            let mut saga = under_way(1, direction, doubling());
            let (step, answer) = (A, unknown());
            saga.add(
                1_000,
                match direction {
                    Direction::Forward => Event::CallAnswered { step, answer, jitter },
                    Direction::Undo => Event::UndoAnswered { step, answer, jitter },
                },
            );
            assert_eq!(saga.waits(1_000), 1_000 + wait, "{direction:?}");
        }
    }
}

#[test]
fn a_push_back_is_waited_for_as_told_beyond_any_cap_and_push_backs_in_a_row_for_longer_and_longer()
{
    let policy = Retry { cap: ms(1_800), ..doubling() };
    for direction in BOTH {
        let mut saga = under_way(1, direction, policy.clone());
        for (at, told, wait) in [(1, 2_000, 2_000), (2_100, 3, 1_600), (3_800, 0, 1_800)] {
            saga.attempt(at, direction, push_back(ms(told)));
            assert_eq!(saga.waits(at), at + wait, "{direction:?}");
        }
        saga.attempt(5_600, direction, unknown()).attempt(5_601, direction, push_back(ms(0)));
        assert_eq!(saga.waits(5_601), 6_401, "the row was broken");
    }
}

#[test]
fn a_saga_of_before_waits_for_a_push_back_as_told_and_asks_until_its_deadline() {
    let mut saga = Journal::before(vec![Step {
        retry: Retry { age_limit: None, ..retry() },
        ..step("freeze")
    }]);
    saga.intended(1, A);
    for at in [100, 200, 300] {
        saga.answered(at, A, push_back(ms(7)));
        assert_eq!(saga.waits(at), at + 7);
    }
    saga.answered(9_900, A, unknown());
    assert_eq!(saga.waits(9_900), DEADLINE.0);
}

#[test]
fn a_push_back_uses_up_no_attempt_and_lengthens_no_back_off() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, Retry { attempts: attempts(3), ..doubling() });
        for at in (100..1_000).step_by(100) {
            saga.attempt(at, direction, pushed_back());
        }
        saga.attempt(1_000, direction, unknown());
        assert_eq!(saga.waits(1_000), 1_100, "{direction:?}");
        saga.attempt(1_100, direction, pushed_back());
        saga.attempt(1_200, direction, unknown());
        assert_eq!(saga.waits(1_200), 1_400, "{direction:?}");
        saga.attempt(1_400, direction, unknown());
        match direction {
            Direction::Forward => assert_eq!(saga.turns_back(1_400), Reason::STEP_UNANSWERED),
            Direction::Undo => assert_eq!(saga.needs_a_person_for(1_400), Some(A)),
        }
    }
}

#[test]
fn an_attempt_that_a_stopped_node_cut_off_uses_up_none_of_the_budget() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, Retry { attempts: attempts(2), ..doubling() });
        saga.recovered(10).recovered(20).attempt(30, direction, unknown());
        assert_eq!(saga.waits(30), 130, "{direction:?}");
    }
}

#[test]
fn a_call_before_the_pivot_turns_back_at_its_age_limit_though_attempts_are_left() {
    let policy = Retry { age_limit: Some(ms(500)), ..doubling() };
    let mut saga = under_way(1_000, Direction::Forward, policy);
    saga.answered(1_499, A, unknown());
    assert_eq!(saga.waits(1_499), 1_500, "not past its age limit");
    saga.answered(1_500, A, unknown());
    assert_eq!(saga.turns_back(1_500), Reason::STEP_UNANSWERED);
    assert!(saga.prepares(1_500, Direction::Undo, A), "it started, so it is undone");
}

#[test]
fn an_undo_grows_old_from_its_own_first_attempt() {
    let policy = Retry { age_limit: Some(ms(500)), ..doubling() };
    let mut saga = under_way(5_000, Direction::Undo, policy);
    saga.undo_answered(5_499, A, unknown());
    assert_eq!(saga.waits(5_499), 5_500);
    saga.undo_answered(5_500, A, unknown());
    assert_eq!(saga.needs_a_person_for(5_500), Some(A));
}

#[test]
fn a_pivot_without_an_undo_that_grows_too_old_needs_a_person_and_is_not_turned_back_from() {
    let endless = Retry { attempts: Attempts::Unlimited, ..retry() };
    let mut saga = Journal::of(vec![Step { undo: false, retry: endless, ..pivot("charge") }]);
    saga.intended(1, A);
    for at in [100, 300, 500, 700] {
        saga.answered(at, A, unknown());
        assert_eq!(saga.waits(at), at + 100);
    }
    saga.answered(2_001, A, unknown());
    assert_eq!(saga.needs_a_person_for(2_001), Some(A));
    assert!(saga.try_add(2_002, Event::Cancelled { reason: by_hand() }).is_err());
}

#[test]
fn a_pause_ages_no_call_in_either_direction() {
    let policy = Retry { age_limit: Some(ms(500)), ..doubling() };
    for direction in BOTH {
        let mut saga = under_way(1_000, direction, policy.clone());
        saga.attempt(1_100, direction, unknown()).resumed_after(1_150, 61_150);
        saga.attempt(61_499, direction, unknown());
        assert_eq!(saga.waits(61_499), 61_500, "{direction:?}");
        saga.resumed_after(61_499, 71_499).attempt(71_500, direction, unknown());
        assert!(matches!(saga.decide(71_500)[..], [Command::Record(_)]), "{direction:?}");
    }
}

#[test]
fn a_call_that_waits_when_its_saga_is_paused_is_made_as_soon_as_that_goes_on() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, doubling());
        saga.attempt(1_000, direction, unknown()).resumed_after(1_050, 3_000);
        assert_eq!(saga.calls(3_000), [(direction, A)]);
    }
}

#[test]
fn the_time_that_an_operator_took_to_skip_a_step_counts_neither_as_age_nor_towards_the_deadline() {
    let beside = |name: &str| Step { after: Some(Vec::new()), ..step(name) };
    let mut saga = Journal::of(vec![beside("a"), beside("b"), step("c")]);
    saga.intended(1, A).intended(1, B).answered(1_000, B, unknown());
    let unusable = Answer::Unusable(Reason::new("UNIMPLEMENTED", "no such method"));
    saga.answered(1_001, A, unusable);
    assert_eq!(saga.needs_a_person_for(1_001), Some(A));
    saga.add(51_001, skip(A));
    assert_eq!(saga.state.deadline(), DEADLINE.after(ms(50_000)));
    saga.answered(51_900, B, unknown());
    assert_eq!(saga.waits(51_900), 52_000, "a second and nine tenths old");
}

#[test]
fn what_is_undone_beside_a_stuck_undo_is_not_made_younger_when_that_is_skipped() {
    let branch = |name: &str| Step { after: Some(vec!["a".to_owned()]), ..step(name) };
    let mut saga = Journal::of(vec![step("a"), branch("b"), branch("c")]);
    saga.done(2, A).done(4, B).done(4, C).add(5, Event::Cancelled { reason: by_hand() });
    for step in [B, C] {
        saga.add(6, Event::UndoIntended { step, request: Bytes::new() });
    }
    saga.undo_answered(7, B, declined()).undo_answered(7, C, unknown());
    assert_eq!(saga.needs_a_person_for(7), Some(B));
    saga.add(1_500, skip(B)).undo_answered(2_006, C, unknown());
    assert_eq!(saga.needs_a_person_for(2_006), Some(C));
}

#[test]
fn a_retry_makes_what_waits_due_now_and_young_again_also_where_nobody_is_needed() {
    let policy = Retry { attempts: attempts(3), age_limit: Some(ms(3_000)), ..doubling() };
    for direction in BOTH {
        let mut saga = under_way(1_000, direction, policy.clone());
        saga.attempt(2_000, direction, unknown()).attempt(3_000, direction, unknown());
        assert_eq!(saga.waits(3_010), 3_200, "{direction:?}");
        saga.retried(3_010);
        assert_eq!(saga.calls(3_010), [(direction, A)]);
        saga.attempt(4_500, direction, unknown());
        assert_eq!(saga.waits(4_500), 4_600, "its back-off begins anew");
        saga.attempt(6_000, direction, push_back(ms(60_000)));
        assert_eq!(saga.waits(6_000), 6_010, "it is three seconds old then");
    }
}

#[test]
fn a_retry_makes_no_attempt_later_than_it_was_due() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, doubling());
        saga.retried(50).recovered(60);
        assert_eq!(saga.calls(60), [(direction, A)]);
        assert_eq!(saga.state.step(A).reason.unwrap().code, Reason::INTERRUPTED);
    }
}

#[test]
fn a_call_behind_the_pivot_that_grew_too_old_is_young_again_after_a_retry() {
    let mut saga = behind_the_pivot(1);
    saga.answered(2_001, B, unknown());
    assert_eq!(saga.needs_a_person_for(2_001), Some(B));
    saga.retried(9_000);
    assert_eq!(saga.calls(9_000), [(Direction::Forward, B)]);
    saga.answered(10_999, B, unknown());
    assert_eq!(saga.waits(10_999), 11_000);
}

#[test]
fn a_restart_shortens_no_wait_and_makes_no_call_younger() {
    let policy = Retry { age_limit: Some(ms(2_000)), ..doubling() };
    for direction in BOTH {
        let mut saga = under_way(1_000, direction, policy.clone());
        saga.attempt(1_001, direction, unknown()).recovered(1_050);
        assert_eq!(saga.waits(1_050), 1_101, "{direction:?}");
        assert_eq!(saga.state.step(A).reason.unwrap().code, "UNAVAILABLE");
        saga.recovered(2_100).attempt(2_999, direction, unknown());
        assert_eq!(saga.waits(2_999), 3_000, "{direction:?}");
        saga.attempt(3_000, direction, unknown());
        assert!(matches!(saga.decide(3_000)[..], [Command::Record(_)]), "{direction:?}");
    }
}

#[test]
fn behind_the_pivot_no_deadline_is_waited_for_and_none_ends_anything() {
    let mut saga = behind_the_pivot(1);
    let call = |saga: &Journal, now| match &saga.decide(now)[..] {
        [Command::Call { step, .. }] => *step,
        other => panic!("{other:?}"),
    };
    assert_eq!(call(&saga, 2), B);
    assert_eq!(call(&saga, DEADLINE.0 + 1), B);
    saga.answered(DEADLINE.0 + 2, B, done());
    assert_eq!(saga.decide(DEADLINE.0 + 3).len(), 1);
    assert_eq!(saga.state.status(), Status::Running);
    assert!(!saga.can_turn_back());
}

#[test]
fn the_deadline_turns_back_from_a_pivot_that_can_be_undone_and_from_no_other() {
    for undo in [true, false] {
        let mut saga = Journal::of(vec![Step { undo, ..pivot("charge") }]);
        saga.intended(9_500, A);
        assert_eq!(saga.can_turn_back(), undo);
        match undo {
            true => assert_eq!(saga.turns_back(DEADLINE.0), Reason::DEADLINE_PASSED),
            false => assert_eq!(saga.calls(DEADLINE.0), [(Direction::Forward, A)]),
        }
    }
}

#[test]
fn a_saga_that_turns_back_has_no_deadline_any_more() {
    let mut saga = under_way(9_000, Direction::Undo, doubling());
    saga.undo_answered(9_990, A, unknown());
    assert_eq!(saga.waits(9_990), 10_090);
    assert_eq!(saga.calls(10_090), [(Direction::Undo, A)]);
    assert!(!saga.can_turn_back());
}

#[test]
fn a_call_under_way_at_the_deadline_is_waited_for_and_one_that_waited_is_not_made_any_more() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(9_999, A);
    assert_eq!(saga.turns_back(DEADLINE.0), Reason::DEADLINE_PASSED);
    assert_eq!(saga.calls(DEADLINE.0), [(Direction::Forward, A)]);
    assert!(!saga.prepares(DEADLINE.0, Direction::Undo, A));

    // The attempt waits, and the node decides a while after the deadline.
    let long = Retry { age_limit: None, base: ms(5_000), cap: ms(5_000), ..retry() };
    let mut saga = Journal::of(vec![Step { retry: long, ..step("freeze") }]);
    saga.intended(1, A).answered(8_900, A, unknown());
    assert_eq!(saga.waits(8_900), 9_000);
    assert_eq!(saga.turns_back(10_500), Reason::DEADLINE_PASSED);
    assert_eq!(saga.calls(10_500), [(Direction::Forward, A)], "it may be under way");
    let mut saga = Journal::before(vec![Step {
        retry: Retry { age_limit: None, ..retry() },
        ..step("freeze")
    }]);
    saga.intended(1, A).answered(9_900, A, unknown());
    assert_eq!(saga.turns_back(10_500), Reason::DEADLINE_PASSED);
    assert_eq!(saga.calls(10_500), []);
    assert!(saga.prepares(10_500, Direction::Undo, A));
}

#[test]
fn a_step_is_shown_with_the_next_attempt_of_the_direction_it_goes_in() {
    for direction in BOTH {
        let mut saga = under_way(1, direction, doubling());
        assert_eq!(saga.state.step(A).due, None, "under way");
        saga.attempt(1_000, direction, unknown());
        let view = saga.state.step(A);
        assert_eq!(view.due, Some(Timestamp(1_100)));
        let (tried, status) = match direction {
            Direction::Forward => (view.attempts, StepStatus::Unknown),
            Direction::Undo => (view.undo_attempts, StepStatus::Undoing),
        };
        assert_eq!((tried, view.status), (2, status));
    }
}

/// A year and more ahead, as a machine's clock may run for a while.
const AHEAD: u64 = 400 * 86_400_000;

#[test]
fn what_was_due_by_a_clock_that_ran_ahead_is_due_as_soon_by_the_one_that_was_set_right() {
    let mut undo = under_way(AHEAD, Direction::Undo, doubling());
    undo.undo_answered(AHEAD + 5, A, unknown());
    let mut call = behind_the_pivot(AHEAD);
    call.answered(AHEAD + 5, B, unknown());
    for (mut saga, what) in [(undo, (Direction::Undo, A)), (call, (Direction::Forward, B))] {
        let wait = saga.waits(AHEAD + 5) - (AHEAD + 5);
        assert!((1..=10_000).contains(&wait), "{wait}");
        saga.recovered(1_000);
        assert_eq!(saga.waits(1_000), 1_000 + wait, "{what:?}");
        assert_eq!(saga.calls(1_000 + wait), [what]);
    }
}

#[test]
fn a_deadline_and_an_age_are_not_put_off_by_a_clock_that_ran_ahead() {
    let mut saga = Journal::of(vec![step("freeze")]);
    saga.intended(1, A).answered(2, A, pushed_back());
    let left = DEADLINE.0 - 2;
    saga.recovered(1);
    let Timestamp(deadline) = saga.state.deadline();
    assert_eq!(deadline, 1 + left);

    let aged = Retry { age_limit: Some(ms(1_000)), ..doubling() };
    let mut saga = under_way(AHEAD, Direction::Undo, aged);
    saga.attempt(AHEAD + 5, Direction::Undo, unknown());
    saga.recovered(10);
    saga.attempt(500, Direction::Undo, unknown());
    let due = saga.waits(500);
    saga.attempt(due.max(1_010), Direction::Undo, unknown());
    assert_eq!(saga.needs_a_person_for(1_010), Some(A));
}

#[test]
fn time_without_a_node_counts_no_further_than_the_waits_explain() {
    const DAY: u64 = 86_400_000;
    let taken_up: [fn() -> Event; 2] =
        [|| Event::Recovered { node: "n2".to_owned() }, || Event::Woken { node: "n2".to_owned() }];
    let aged = || Retry { age_limit: Some(ms(4_000)), ..doubling() };
    for event in taken_up {
        // It waits for 100 ms, and an attempt may take a second.
        let mut call = under_way(1_000, Direction::Forward, aged());
        call.answered(1_900, A, unknown()).add(DAY, event());
        assert_eq!(call.state.deadline(), Timestamp(DAY + DEADLINE.0 - 3_000));
        assert_eq!(call.calls(DAY), [(Direction::Forward, A)]);
        call.answered(DAY + 1_999, A, unknown());
        assert_eq!(call.waits(DAY + 1_999), DAY + 2_000, "four seconds old");

        let mut undo = under_way(1_000, Direction::Undo, aged());
        undo.undo_answered(1_900, A, unknown()).add(DAY, event());
        undo.undo_answered(DAY + 1_999, A, unknown());
        assert_eq!(undo.waits(DAY + 1_999), DAY + 2_000);
    }
}

#[test]
fn a_day_counts_for_a_saga_of_before() {
    let mut saga = Journal::before(vec![step("freeze")]);
    saga.intended(1, A).recovered(86_400_000);
    assert_eq!(saga.turns_back(86_400_000), Reason::DEADLINE_PASSED);
    assert!(saga.prepares(86_400_000, Direction::Undo, A));
}

mod jumps {
    use proptest::prelude::*;

    use super::*;

    fn instant() -> impl Strategy<Value = u64> {
        prop_oneof![0..10_000_u64, (u64::MAX - 10_000)..=u64::MAX, any::<u64>()]
    }

    proptest! {
        /// Whatever the clocks of a saga's nodes say, nothing overflows, and after a restart nothing is waited for that lies
        /// further ahead than the longest wait.
        #[test]
        fn a_restart_waits_no_longer_than_the_cap(
            begun in instant(),
            answered in instant(),
            restarted in instant(),
        ) {
            let policy = Retry { age_limit: Some(ms(86_400_000)), ..doubling() };
            for direction in BOTH {
                let mut saga = under_way(begun, direction, policy.clone());
                saga.attempt(answered, direction, unknown());
                saga.recovered(restarted);
                for command in saga.decide(restarted) {
                    if let Command::WaitUntil(Timestamp(due)) = command {
                        prop_assert!(due <= restarted.saturating_add(DEADLINE.0.max(800)), "{} at {}", due, restarted);
                    }
                }
                saga.decide(u64::MAX);
            }
        }
    }
}
