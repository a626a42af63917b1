//! A lookup before an undo: what a call came to whose response never came.

use bytes::Bytes;
use saga::{Answer, Direction, Event, Jitter, StepId, StepStatus};

use crate::{A, B, Journal, by_hand, declined, done, skip, step, unknown};

fn lookup(step: StepId) -> Event {
    Event::LookupIntended { step, request: Bytes::from_static(b"lookup") }
}

fn found(step: StepId, answer: Answer) -> Event {
    Event::LookupAnswered { step, answer, jitter: Jitter(u16::MAX) }
}

fn undo(step: StepId) -> Event {
    Event::UndoIntended { step, request: Bytes::from_static(b"undo") }
}

/// A step whose call was not answered, and which the saga looks up since 2 s.
fn looking_up() -> Journal {
    let mut journal = Journal::of(vec![step("a"), step("b")]);
    journal.done(2, A).intended(3, B).answered(4, B, unknown());
    journal.add(5, Event::Cancelled { reason: by_hand() });
    journal.add(2_000, lookup(B));
    journal
}

#[test]
fn a_lookup_begins_when_the_time_of_the_call_is_over_and_leaves_the_undo_its_whole_budget() {
    let mut journal = looking_up();
    assert!(journal.state.looks_up(B));
    assert_eq!(journal.calls(2_999), []);
    assert_eq!(journal.calls(3_000), [(Direction::Undo, B)]);
    journal.add(3_001, found(B, unknown())).add(3_102, found(B, done()));
    assert!(!journal.state.looks_up(B));
    assert!(journal.state.found(B).is_some());
    assert!(journal.prepares(3_102, Direction::Undo, B));
    journal.add(3_103, undo(B));
    let view = journal.state.step(B);
    assert_eq!((view.status, view.undo_attempts), (StepStatus::Undoing, 1));
    journal.undo_answered(3_104, B, done());
    assert!(journal.prepares(3_104, Direction::Undo, A));
}

#[test]
fn a_lookup_that_finds_nothing_settles_the_undo_and_one_that_is_refused_or_grows_old_needs_a_person()
 {
    let mut journal = looking_up();
    journal.add(3_001, found(B, Answer::NothingToUndo));
    assert_eq!(journal.state.step(B).status, StepStatus::Undone);
    assert!(journal.prepares(3_001, Direction::Undo, A));
    // Its age runs from when it began.
    for (at, answer, is_stuck) in
        [(3_001, declined(), true), (4_999, unknown(), false), (5_000, unknown(), true)]
    {
        let mut journal = looking_up();
        journal.add(at, found(B, answer));
        let parks = journal.decide(at).iter().any(|command| {
            matches!(command, saga::Command::Record(Event::Parked { step: Some(B), .. }))
        });
        assert_eq!(parks, is_stuck, "at {at}");
    }
}

#[test]
fn a_node_that_takes_the_saga_up_makes_the_lookup_again_and_a_person_may_skip_it() {
    let mut journal = looking_up();
    journal.add(3_500, Event::Recovered { node: "n".to_owned() });
    assert!(journal.state.looks_up(B));
    assert_eq!(journal.calls(3_500), [(Direction::Undo, B)]);
    let mut journal = looking_up();
    journal.add(2_500, skip(B));
    assert!(journal.prepares(2_500, Direction::Undo, A));
}

#[test]
fn a_lookup_comes_once_before_the_undo_and_its_answer_is_no_undos() {
    let mut journal = looking_up();
    let answered = Event::UndoAnswered { step: B, answer: done(), jitter: Jitter(0) };
    for (event, why) in [
        (answered, "b has no undo under way"),
        (lookup(B), "b is not to be undone now"),
        (undo(B), "b is not to be undone now"),
        (lookup(A), "a is not to be undone now"),
        (found(A, done()), "a has no lookup under way"),
    ] {
        assert_eq!(journal.try_add(3_000, event).unwrap_err().to_string(), why);
    }
    journal.add(3_001, found(B, done()));
    let again = journal.try_add(3_002, lookup(B)).unwrap_err();
    assert_eq!(again.to_string(), "b has been looked up already");
    journal.add(3_003, undo(B));
    let late = journal.try_add(3_004, found(B, done())).unwrap_err();
    assert_eq!(late.to_string(), "b has no lookup under way");
}
