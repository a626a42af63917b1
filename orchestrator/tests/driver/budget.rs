//! What expressions may take: a saga whose values ask for too much ends or stands still, and keeps nobody waiting.

use proto::saga::v1::SagaState;

use crate::test_driver::{TestDriver, definition};

/// Over a hundred letters: a million pairs.
const TOO_MUCH: &str = "saga.key.split('').all(a, saga.key.split('').all(b, saga.key.split('').exists(c, c == '-' || a == b)))";

fn step(name: &str, id: &str) -> String {
    format!(
        "
  - step: {name}
    call: work.v1.Work/Do
    undo: work.v1.Work/Undo
    with: {{ id: \"{id}\" }}
"
    )
}

fn key() -> String {
    format!("{}-", "a".repeat(100))
}

#[tokio::test]
async fn a_step_that_takes_too_much_to_evaluate_turns_its_saga_back_with_the_place() {
    let heavy = step("charge", &format!("{TOO_MUCH} ? 'a' : 'b'"));
    let mut test_driver =
        TestDriver::open(&definition("", &[&step("freeze", "'f'"), &heavy])).await;
    let saga_id = test_driver.start(&key()).await;
    test_driver.called("freeze forward").await.done();
    test_driver.called("freeze undo").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Compensated).await;
    assert_eq!(saga.reason, "EXPRESSION_FAILED");
    assert!(saga.message.contains("0.yaml:15:18: `saga.key.split("), "{}", saga.message);
    assert!(saga.message.contains("this takes more than 250000 steps"), "{}", saga.message);
}

#[tokio::test]
async fn behind_the_pivot_it_needs_a_person() {
    let pivot = step("freeze", "'f'") + "    pivot: true\n";
    let heavy = step("confirm", &format!("{TOO_MUCH} ? 'a' : 'b'"));
    let heavy = heavy.replace("    undo: work.v1.Work/Undo\n", "");
    let mut test_driver = TestDriver::open(&definition("", &[&pivot, &heavy])).await;
    let saga_id = test_driver.start(&key()).await;
    test_driver.called("freeze forward").await.done();
    let saga = test_driver.stands(&saga_id, SagaState::Attention).await;
    assert_eq!(saga.reason, "EXPRESSION_FAILED");
}

/// Each condition takes most of what an evaluation may; a saga that evaluated them all in one turn would keep every other
/// task waiting for seconds.
#[tokio::test]
async fn a_turn_ends_when_its_expressions_have_taken_long_and_the_saga_goes_on_in_the_next() {
    let much =
        "saga.key.split('').all(a, saga.key.split('').all(b, a == b || b == '-' || a == '-'))";
    let steps: Vec<String> = (0..20)
        .map(|index| step(&format!("s{index}"), "'x'") + &format!("    when: \"!{much}\"\n"))
        .chain([step("charge", "'x'")])
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let mut test_driver = TestDriver::open(&definition("", &steps)).await;
    let saga_id = test_driver.start(&key()).await;
    // What came before the saga's first wait for the disk is one turn; the saga itself ends as ever.
    let first = test_driver.get(&saga_id).await;
    let skipped = |saga: &proto::saga::v1::Saga| {
        saga.steps.iter().filter(|step| step.state() == proto::saga::v1::StepState::Skipped).count()
    };
    assert!(skipped(&first) < 20, "{first:?}");
    let charge = test_driver.called("charge forward").await;
    assert_eq!(skipped(&test_driver.get(&saga_id).await), 20);
    charge.done();
    test_driver.stands(&saga_id, SagaState::Succeeded).await;
}
