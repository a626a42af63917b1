//! What others read of the engine: names, instants, responses, and sentences for a person.

use bytes::Bytes;
use saga::{
    Command, Direction, Event, Outcome, Reason, SagaState, Status, Step, StepId, StepStatus,
    TimeRules, Timestamp,
};

use crate::{A, B, C, DEADLINE, Journal, behind, by_hand, done, pivot, step, unknown};

#[test]
fn names_are_those_that_stand_in_journals_keys_and_the_index() {
    assert_eq!([Direction::Forward.as_str(), Direction::Undo.as_str()], ["forward", "undo"]);
    let states = [
        (Status::Running, "RUNNING"),
        (Status::Compensating, "COMPENSATING"),
        (Status::Succeeded, "SUCCEEDED"),
        (Status::Compensated, "COMPENSATED"),
        (Status::Attention, "ATTENTION"),
        (Status::Paused, "PAUSED"),
        (Status::Resolved, "RESOLVED"),
    ];
    for (status, name) in states {
        assert_eq!((status.as_str(), Status::from_name(name)), (name, Some(status)));
    }
    assert_eq!(Status::from_name("LOST"), None);
    assert_eq!(Reason::new("NO_STOCK", "none is left").to_string(), "NO_STOCK: none is left");
}

#[test]
fn a_saga_shows_its_instants_its_responses_and_its_reply() {
    let mut saga = Journal::of(vec![step("a"), step("b")]);
    saga.state = SagaState::new(&saga.definition);
    saga.add(5, Event::Started { deadline: DEADLINE, rules: TimeRules::CURRENT })
        .done(7, A)
        .done(9, B);
    assert_eq!((saga.state.started_at(), saga.state.updated_at()), (Timestamp(5), Timestamp(9)));
    assert_eq!(saga.state.response(A), Some(&Bytes::from_static(b"done")));
    assert_eq!((saga.state.response(StepId(9)), saga.state.reply()), (None, None));
    let (outcome, reply) = (Outcome::Succeeded, Bytes::from_static(b"reply"));
    saga.add(11, Event::Finished { outcome, reply: reply.clone() });
    assert_eq!(saga.state.reply(), Some(&reply));
}

#[test]
fn an_attempt_that_a_stopped_node_cut_off_is_one_of_those_that_were_made() {
    let mut saga = Journal::of(vec![step("a")]);
    saga.intended(1, A).answered(2, A, unknown());
    saga.add(500, Event::Recovered { node: "n2".to_owned() });
    assert_eq!(saga.state.step(A).attempts, 3);
    let third = |command: &Command| matches!(command, Command::Call { attempt: 3, .. });
    assert!(saga.decide(500).iter().any(third));
}

#[test]
fn what_is_refused_names_the_step_and_a_step_that_is_not_there_is_refused_in_every_event() {
    let mut saga = Journal::of(vec![step("freeze"), step("charge")]);
    let early = saga.try_add(1, Event::CallIntended { step: B, request: Bytes::new() });
    assert!(early.unwrap_err().to_string().starts_with("charge cannot begin"));
    let (step, reason) = (Some(StepId(2)), Reason::new("NO", "no"));
    let cause = saga::Cause { step, reason: reason.clone() };
    for event in [Event::TurnedBack { cause }, Event::Parked { step, reason }] {
        let refused = saga.try_add(1, event).unwrap_err();
        assert_eq!(refused.to_string(), "the definition has no step number 2");
    }
}

#[test]
fn a_saga_that_needs_a_person_comes_to_need_one_for_another_undo_and_for_nothing_else() {
    let branch = |name: &str| Step { after: Some(Vec::new()), ..step(name) };
    let parked = |step| Event::Parked { step, reason: Reason::new("EXPRESSION", "no such field") };
    let mut saga = Journal::of(vec![branch("a"), branch("b"), step("c")]);
    saga.done(1, A).done(1, B).done(2, C).add(3, Event::Cancelled { reason: by_hand() });
    saga.add(3, Event::UndoIntended { step: C, request: Bytes::new() });
    saga.undo_answered(4, C, done());
    saga.add(5, parked(Some(A)));
    let again = saga.try_add(6, parked(Some(A))).unwrap_err();
    assert_eq!(again.to_string(), "a needs a person already");
    assert!(saga.try_add(6, parked(Some(C))).is_err(), "it is undone");
    assert!(saga.try_add(6, parked(None)).is_err(), "the saga as a whole does already");
    saga.add(6, parked(Some(B)));
    assert_eq!(saga.decide(7), []);

    let mut paused = Journal::of(vec![pivot("charge"), behind("confirm")]);
    paused.add(1, Event::Paused { reason: by_hand() });
    assert!(paused.try_add(2, parked(Some(A))).is_err());
}

#[test]
fn a_step_is_running_at_its_first_attempt_and_unknown_from_its_second_also_in_a_pause() {
    let mut saga = Journal::of(vec![step("a"), step("b")]);
    assert_eq!(saga.state.step(A).status, StepStatus::Pending);
    saga.intended(1, A);
    assert_eq!(saga.state.step(A).status, StepStatus::Running);
    saga.add(2, Event::Paused { reason: by_hand() });
    assert_eq!(saga.state.step(A).status, StepStatus::Running);
    saga.answered(3, A, unknown());
    assert_eq!(saga.state.step(A).status, StepStatus::Unknown);
    assert_eq!(saga.state.step(B).status, StepStatus::Pending);
}
