//! Generated sagas against a simple model of the world: whatever is answered, ordered or crashed, effects are all there
//! or all undone, in the right order, and nothing stands still.

#![expect(clippy::unwrap_used, reason = "a property that cannot be judged has failed")]
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "the purity is the engine's, not its tests'"
)]

mod case;
mod generate;
mod run;
mod table;
mod world;

use std::collections::BTreeMap;

use case::Case;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use run::Run;
use saga::{
    Answer, Cause, Event, Jitter, Outcome, Reason, Record, SagaState, TimeRules, Timestamp, apply,
    decide,
};
use table::{History, Verdict};

const CASES: u32 = 1_500;
const SEED: [u8; 32] = *b"a saga undone in reverse order..";

fn over_all(claimed: &[&'static str], property: impl Fn(&Case) -> Vec<&'static str>) {
    over(CASES, claimed, property);
}

/// Runs the property over generated cases of a fixed seed, and fails unless each case in `claimed` was met.
fn over(cases: u32, claimed: &[&'static str], property: impl Fn(&Case) -> Vec<&'static str>) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let mut runner = TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        rng,
    );
    let met = std::cell::RefCell::new(BTreeMap::<&'static str, u32>::new());
    runner
        .run(&generate::cases(), |case| {
            for name in property(&case) {
                *met.borrow_mut().entry(name).or_default() += 1;
            }
            Ok(())
        })
        .unwrap();
    let met = met.into_inner();
    println!("{met:?}");
    for name in claimed {
        assert!(met.contains_key(name), "no run met the case {name:?}: {met:?}");
    }
}

#[test]
fn a_saga_ends_with_all_its_effects_or_none_and_in_order() {
    let claimed = [
        "succeeded",
        "compensated",
        "turned back by a decline",
        "turned back by a spent budget",
        "turned back by the deadline",
        "turned back by an operator",
        "undid a call that never answered",
        "undid side by side",
        "done only after it turned back",
        "skipped by its condition",
        "pivot skipped",
        "attention going forward",
        "attention while compensating",
        "undid beside a stuck one",
        "pushed back",
        "recovered with a call under way",
        "recovered while compensating",
        "retried by an operator",
        "paused and resumed",
        "skipped by hand",
        "resolved",
        "in doubt at a pivot without undo",
        "not sent",
        "ended with a step that was never sent and is not undone",
    ];
    over_all(&claimed, |case| Run::new(case).play().met());
}

/// The states after each record, the first one before any.
fn states(case: &Case, records: &[Record]) -> Vec<SagaState> {
    let mut states = vec![SagaState::new(&case.definition)];
    for record in records {
        let mut state = states.last().unwrap().clone();
        apply(&mut state, &case.definition, record).unwrap();
        states.push(state);
    }
    states
}

#[test]
fn a_replay_of_any_prefix_gives_the_same_state_and_the_same_commands() {
    over_all(&["replayed"], |case| {
        let run = Run::new(case).play();
        for (state, (seen, now, commands)) in
            states(case, &run.records).iter().skip(1).zip(&run.seen)
        {
            assert_eq!(state, seen);
            assert_eq!(&decide(&case.definition, state, *now), commands);
            assert_eq!(decide(&case.definition, state, *now), *commands, "deciding twice differs");
        }
        vec!["replayed"]
    });
}

#[test]
fn a_saga_that_is_taken_up_after_any_record_still_ends_rightly() {
    over_all(&["taken up", "succeeded", "compensated"], |case| {
        let whole = Run::new(case).play();
        let cut = usize::from(case.cut) % whole.records.len().max(1);
        let mut met = Run::new(case).crash_after(cut + 1).play().met();
        met.push("taken up");
        met
    });
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    over_all(
        &["refused after the end", "refused out of order", "refused twice", "refused unknown step"],
        |case| {
            let run = Run::new(case).play();
            let states = states(case, &run.records);
            let mut met = Vec::new();
            for (state, record) in states.iter().zip(&run.records) {
                let refused = |event: Event, seq: u64| {
                    let record = Record { seq, at: record.at, event };
                    let before = state.clone();
                    assert!(
                        apply(&mut state.clone(), &case.definition, &record).is_err(),
                        "{record:?} on {state:?}"
                    );
                    assert_eq!(*state, before);
                };
                refused(record.event.clone(), record.seq + 1);
                met.push("refused out of order");
                let beyond = saga::StepId(u16::try_from(case.definition.steps().len()).unwrap());
                refused(Event::Skipped { step: beyond }, record.seq);
                met.push("refused unknown step");
                if record.seq > 0 {
                    refused(
                        Event::Started { deadline: record.at, rules: TimeRules::CURRENT },
                        record.seq,
                    );
                }
            }
            for (state, record) in states.iter().skip(1).zip(&run.records) {
                // A record of these kinds cannot be applied a second time at once.
                if matches!(
                    record.event,
                    Event::CallIntended { .. }
                        | Event::UndoIntended { .. }
                        | Event::Skipped { .. }
                        | Event::TurnedBack { .. }
                        | Event::Cancelled { .. }
                        | Event::Paused { .. }
                        | Event::Parked { .. }
                ) {
                    let again = Record { seq: record.seq + 1, ..record.clone() };
                    assert!(
                        apply(&mut state.clone(), &case.definition, &again).is_err(),
                        "{again:?} twice"
                    );
                    met.push("refused twice");
                }
            }
            let last = states.last().unwrap();
            if last.is_ended() {
                for record in &run.records {
                    let late = Record { seq: last.next_seq(), ..record.clone() };
                    assert!(
                        apply(&mut last.clone(), &case.definition, &late).is_err(),
                        "{late:?} after the end"
                    );
                }
                assert!(decide(&case.definition, last, Timestamp(u64::MAX)).is_empty());
                met.push("refused after the end");
            }
            met
        },
    );
}

/// One event of every kind, and of every step where it is about a step.
fn every_event(case: &Case, at: Timestamp) -> Vec<Event> {
    let by_hand = || "by hand".to_owned();
    let reason = || Reason::new("SCRIPTED", "as the test says");
    let jitter = Jitter(0);
    let mut events = vec![
        Event::Started { deadline: at, rules: TimeRules::CURRENT },
        Event::TurnedBack { cause: Cause { step: None, reason: reason() } },
        Event::Parked { step: None, reason: reason() },
        Event::Recovered { node: "n".to_owned() },
        Event::Woken { node: "n".to_owned() },
        Event::Paused { reason: by_hand() },
        Event::Resumed { reason: by_hand() },
        Event::Retried { reason: by_hand() },
        Event::Cancelled { reason: by_hand() },
        Event::Resolved { reason: by_hand() },
        Event::Finished { outcome: Outcome::Succeeded, reply: "".into() },
        Event::Finished { outcome: Outcome::Compensated, reply: "".into() },
    ];
    for step in case.definition.ids() {
        events.extend([
            Event::Skipped { step },
            Event::CallIntended { step, request: "".into() },
            Event::UndoIntended { step, request: "".into() },
            Event::SkippedByHand { step, reason: by_hand() },
        ]);
        let done = || Answer::Done { response: "".into() };
        for answer in
            [done(), Answer::NothingToUndo, Answer::Unknown(reason()), Answer::NotSent(reason())]
        {
            events.push(Event::CallAnswered { step, answer: answer.clone(), jitter });
            events.push(Event::UndoAnswered { step, answer, jitter });
        }
    }
    events
}

#[test]
fn every_event_fits_or_is_refused_as_the_history_says() {
    let claimed = ["a fitting event", "a refused event", "refused while going back"];
    over(CASES / 10, &claimed, |case| {
        let run = Run::new(case).play();
        let mut met = Vec::new();
        for (count, state) in states(case, &run.records).iter().enumerate().skip(1) {
            let records = &run.records[..count];
            let history = History { definition: &case.definition, records, state };
            let at = records.last().unwrap().at;
            for event in every_event(case, at) {
                let expected = history.verdict(&event);
                let record = Record { seq: state.next_seq(), at, event };
                let fits = apply(&mut state.clone(), &case.definition, &record).is_ok();
                let right = match expected {
                    Verdict::Fits => fits,
                    Verdict::Refused => !fits,
                    Verdict::Either => true,
                };
                assert!(right, "{:?} should be {expected:?} after {records:?}", record.event);
                met.push(match fits {
                    true => "a fitting event",
                    false if state.cause().is_some() => "refused while going back",
                    false => "a refused event",
                });
            }
        }
        met
    });
}

#[test]
fn a_saga_ends_rightly_whichever_record_its_node_stops_after() {
    over(
        CASES / 15,
        &["taken up", "succeeded", "compensated", "turned back by the deadline"],
        |case| {
            let records = Run::new(case).play().records.len();
            (1..=records)
                .flat_map(|cut| Run::new(case).crash_after(cut).play().met())
                .chain(["taken up"])
                .collect()
        },
    );
}

#[test]
fn a_saga_knows_since_when_it_undoes_and_whether_that_has_needed_a_person() {
    let claimed = ["turned back", "needed a person", "needed nobody", "never turned back"];
    over_all(&claimed, |case| {
        let run = Run::new(case).play();
        let (mut since, mut needed) = (None, false);
        let mut met = Vec::new();
        for (state, record) in states(case, &run.records).iter().skip(1).zip(&run.records) {
            match record.event {
                Event::TurnedBack { .. } | Event::Cancelled { .. } => since = Some(record.at),
                Event::Parked { .. } | Event::SkippedByHand { .. } | Event::Resolved { .. } => {
                    needed |= since.is_some();
                }
                _ => {}
            }
            assert_eq!(state.compensation().map(|compensation| compensation.began_at), since);
            assert_eq!(state.undo_needed_person(), needed);
        }
        met.push(if since.is_some() { "turned back" } else { "never turned back" });
        met.push(if needed { "needed a person" } else { "needed nobody" });
        met
    });
}

#[test]
fn an_attempt_is_made_again_by_itself_where_the_engine_waits_for_it() {
    over_all(&["made again", "given up"], |case| {
        let run = Run::new(case).play();
        let mut met = Vec::new();
        for (state, record) in states(case, &run.records).iter().skip(1).zip(&run.records) {
            let Event::CallAnswered { step, answer: Answer::Unknown(_), .. } = &record.event else {
                continue;
            };
            let attempts = run.records.iter().take_while(|earlier| earlier.seq <= record.seq);
            let answered = attempts
                .filter(|earlier| {
                    matches!(&earlier.event, Event::CallAnswered { step: of, .. } if of == step)
                })
                .count();
            assert!(state.attempts(*step, saga::Direction::Forward) as usize >= answered);
            let again = state.is_tried_again(*step, saga::Direction::Forward);
            let view = state.step(*step);
            assert_eq!(again, view.attempts > state.attempts(*step, saga::Direction::Forward));
            met.push(if again { "made again" } else { "given up" });
        }
        met
    });
}
