//! What a definition may not be, each fault by itself and all of them at once.

use std::time::Duration;

use saga::{Definition, DefinitionFault, Direction, Retry, RetryFault, Step, StepId};

fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        after: None,
        pivot: false,
        undo: false,
        conditional: false,
        timeout: Duration::from_secs(1),
        retry: Retry::call_default(),
        undo_retry: Retry::undo_default(),
    }
}

fn after(name: &str, earlier: &[&str]) -> Step {
    Step { after: Some(earlier.iter().map(|name| (*name).to_owned()).collect()), ..step(name) }
}

fn pivot(step: Step) -> Step {
    Step { pivot: true, ..step }
}

fn with_undo(step: Step) -> Step {
    Step { undo: true, ..step }
}

fn faults(steps: Vec<Step>) -> Vec<DefinitionFault> {
    Definition::new(steps, Duration::from_secs(30)).err().unwrap_or_default()
}

#[test]
fn a_definition_has_one_to_256_steps() {
    let many = |count: usize| (0..count).map(|index| step(&format!("s{index}"))).collect();
    assert_eq!(faults(Vec::new()), [DefinitionFault::NoSteps]);
    assert_eq!(faults(many(Definition::STEPS_MAX)), []);
    assert_eq!(faults(many(Definition::STEPS_MAX + 1)), [DefinitionFault::TooManySteps]);
}

#[test]
fn a_name_is_snake_case_and_stands_once() {
    for bad in ["", "Freeze", "2nd", "_freeze", "freeze-stock", "fr\u{e9}eze"] {
        assert_eq!(faults(vec![step(bad)]), [DefinitionFault::BadName { step: 0 }], "{bad:?}");
    }
    assert_eq!(
        faults(vec![step("a"), step("b"), step("a")]),
        [DefinitionFault::DuplicateStep { step: 2 }]
    );
}

#[test]
fn after_names_steps_that_exist_and_do_not_wait_for_each_other() {
    let unknown = DefinitionFault::UnknownAfter { step: 1, name: "nobody".to_owned() };
    assert_eq!(faults(vec![step("a"), after("b", &["nobody"])]), [unknown]);
    let knot = faults(vec![after("a", &["b"]), after("b", &["a"])]);
    assert_eq!(knot, [DefinitionFault::Cycle { steps: vec![0, 1] }]);
    assert_eq!(faults(vec![after("a", &["a"])]), [DefinitionFault::Cycle { steps: vec![0] }]);
}

#[test]
fn everything_comes_before_or_behind_the_one_pivot_and_nothing_behind_it_is_undone() {
    let two = faults(vec![pivot(step("a")), pivot(step("b"))]);
    assert_eq!(two, [DefinitionFault::SeveralPivots { step: 1 }]);
    let late = faults(vec![pivot(with_undo(step("a"))), step("b"), with_undo(step("c"))]);
    assert_eq!(late, [DefinitionFault::UndoBehindPivot { step: 2 }]);
    let beside = faults(vec![step("a"), pivot(step("b")), after("c", &["a"])]);
    assert_eq!(beside, [DefinitionFault::BesidePivot { step: 2 }]);
}

#[test]
fn both_budgets_of_a_step_must_work() {
    let upside_down = Retry { cap: Duration::from_millis(1), ..Retry::call_default() };
    let step = Step { retry: upside_down.clone(), undo_retry: upside_down, ..step("a") };
    let fault = |direction| DefinitionFault::BadRetry {
        step: 0,
        direction,
        fault: RetryFault::BaseAboveCap,
    };
    assert_eq!(faults(vec![step]), [fault(Direction::Forward), fault(Direction::Undo)]);
}

#[test]
fn all_faults_come_at_once() {
    let found =
        faults(vec![pivot(step("a")), pivot(with_undo(step("a"))), after("C", &["nobody"])]);
    let expected = [
        DefinitionFault::DuplicateStep { step: 1 },
        DefinitionFault::BadName { step: 2 },
        DefinitionFault::UnknownAfter { step: 2, name: "nobody".to_owned() },
        DefinitionFault::SeveralPivots { step: 1 },
        DefinitionFault::UndoBehindPivot { step: 1 },
    ];
    for fault in expected {
        assert!(found.contains(&fault), "{fault:?} is missing from {found:?}");
    }
}

#[test]
fn a_step_follows_the_one_above_it_unless_it_says_otherwise() {
    let steps = vec![step("a"), step("b"), after("c", &[]), after("d", &["b", "c"])];
    let definition = Definition::new(steps, Duration::from_secs(30)).unwrap();
    let graph = definition.graph();
    assert_eq!(graph.after(StepId(1)), [StepId(0)]);
    assert_eq!(graph.after(StepId(2)), []);
    let all: Vec<_> = graph.ancestors(StepId(3)).iter().copied().collect();
    assert_eq!(all, [StepId(0), StepId(1), StepId(2)]);
    assert_eq!(definition.find("d"), Some(StepId(3)));
}
