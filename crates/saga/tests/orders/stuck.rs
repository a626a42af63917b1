//! An undo that needs a person, and what goes on beside it.

use bytes::Bytes;
use saga::{Command, Direction, Event, Reason, Status, Step, StepStatus};

use crate::{A, B, C, Journal, by_hand, declined, done, skip, step, unknown};

/// Two branches that are undone side by side, behind a step that both came after.
fn two_branches() -> Journal {
    let branch = |name: &str| Step { after: Some(vec!["a".to_owned()]), ..step(name) };
    let mut journal = Journal::of(vec![step("a"), branch("b"), branch("c")]);
    journal.done(2, A).done(4, B).done(4, C);
    journal.add(5, Event::Cancelled { reason: by_hand() });
    journal.add(6, Event::UndoIntended { step: B, request: Bytes::new() });
    journal.add(6, Event::UndoIntended { step: C, request: Bytes::new() });
    journal
}

#[test]
fn an_undo_that_needs_a_person_holds_only_what_it_came_after() {
    let mut journal = two_branches();
    journal.undo_answered(7, C, unknown()).undo_answered(8, B, declined());
    let parked = journal.decide(8);
    assert!(matches!(parked[..], [Command::Record(Event::Parked { step: Some(B), .. })]));
    let Some(Command::Record(parked)) = parked.into_iter().next() else { return };
    journal.add(8, parked);
    assert_eq!(journal.state.status(), Status::Attention);
    assert_eq!(journal.calls(200), [(Direction::Undo, C)]);
    journal.undo_answered(200, C, done());
    // The step that both came after waits; nobody is alarmed again.
    assert_eq!(journal.decide(9_000_000), []);
    journal.add(9_000_001, skip(B));
    assert_eq!(journal.state.status(), Status::Compensating);
    assert!(journal.prepares(9_000_001, Direction::Undo, A));
}

#[test]
fn what_is_undone_beside_a_stuck_undo_grows_old_as_always() {
    let mut journal = two_branches();
    journal.undo_answered(7, B, declined());
    journal.add(7, Event::Parked { step: Some(B), reason: Reason::new("NO", "no") });
    // This is two seconds after the undo's first attempt.
    journal.undo_answered(2_007, C, unknown());
    assert_eq!(journal.state.step(C).status, StepStatus::Stuck);
    assert_eq!(journal.decide(9_000_000), []);
    // The saga shows the step that it still needs a person for.
    journal.add(9_000_000, skip(B));
    assert_eq!(journal.state.status(), Status::Attention);
    assert_eq!(journal.state.why().and_then(|why| why.step), Some(C));
}

#[test]
fn an_undo_that_was_lost_with_its_node_beside_a_stuck_one_is_made_again_at_once() {
    let mut journal = two_branches();
    journal.undo_answered(7, B, declined());
    journal.add(7, Event::Parked { step: Some(B), reason: Reason::new("NO", "no") });
    journal.add(50, Event::Recovered { node: "n".to_owned() });
    assert_eq!(journal.calls(50), [(Direction::Undo, C)]);
}
