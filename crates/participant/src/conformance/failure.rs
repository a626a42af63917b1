//! What could not be carried out leaves nothing, tells nobody of success, and can be asked again.

use crate::{
    conformance::{
        TestStore,
        service::{
            Call, TestService, again, answered, effect, effect_then, never, never_undo, undo_work,
            undoing, undone, work,
        },
    },
    decision::{Decision, WorkError},
    inbox::Error,
};

/// Nothing of it is stored, so the same key runs the work again.
pub async fn a_technical_failure_stores_nothing_and_the_repeat_succeeds<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    for _ in 0..2 {
        let failure = WorkError::technical("the gateway is away");
        let failed = service.call("charge", effect_then::<B>("charge", failure)).await;
        assert!(matches!(failed, Err(Error::Work(_))), "{failed:?}");
        assert_eq!(test_store.count("charge").await, 0);
    }
    succeeds(test_store, &service, "charge").await;
}

/// A call that failed left no answer: its undo closes the key.
pub async fn a_call_that_failed_and_was_undone_is_superseded<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let failure = WorkError::technical("the gateway is away");
    let failed = service.call("charge", effect_then::<B>("charge", failure)).await;
    assert!(matches!(failed, Err(Error::Work(_))), "{failed:?}");
    let undo = answered(service.undo("charge", never_undo()).await);
    assert_eq!(undo.outcome, Decision::NothingToUndo);
    let late = answered(service.call("charge", never()).await);
    assert!(matches!(late.outcome, Decision::Declined(_)), "{late:?}");
    assert_eq!(test_store.count("charge").await, 0);
}

/// Before its first write or after it: a panic is a failure like any other, and the store goes on.
pub async fn work_that_panics_leaves_nothing_and_the_repeat_succeeds<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for (step, writes) in [("before", false), ("after", true)] {
        let panicked = service.call(step, panicking::<B>(step, writes)).await;
        match panicked {
            Err(Error::Store(store::Error::Panicked(said))) => assert_eq!(said, "out of dice"),
            other => panic!("work that panicked came to {other:?}"),
        }
        assert_eq!(test_store.count(step).await, 0);
        succeeds(test_store, &service, step).await;
    }
}

/// The caller cannot know what a failed commit came to; the same key tells, and takes effect at most once.
pub async fn a_failed_commit_gives_no_answer_and_the_repeat_succeeds<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for _ in 0..2 {
        let failed = service.call("charge", spoiling::<B>("charge")).await;
        let failed = failed.expect_err("a failed commit is nobody's success");
        assert!(matches!(failed, Error::Store(store::Error::Commit(_))), "{failed:?}");
        assert_eq!(test_store.count("charge").await, 0);
    }
    succeeds(test_store, &service, "other").await;
    succeeds(test_store, &service, "charge").await;
}

/// The undo's row goes with its effect.
pub async fn an_undo_whose_commit_failed_can_be_repeated<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    answered(service.call("charge", effect::<B>("charge", "paid")).await);
    let spoiling = undo_work(move |connection, call| {
        B::fail_commit(connection)?;
        undoing::<B>("undo")(connection, call)
    });
    let failed = service.undo("charge", spoiling).await;
    assert!(matches!(failed, Err(Error::Store(store::Error::Commit(_)))), "{failed:?}");
    assert_eq!((test_store.count("charge").await, test_store.count("undo").await), (1, 0));
    let undo = answered(service.undo("charge", undoing::<B>("undo")).await);
    assert_eq!((undo.outcome, undo.repeated), (Decision::Done(undone(b"paid")), false));
    assert_eq!((test_store.count("charge").await, test_store.count("undo").await), (1, 1));
}

async fn succeeds<B: TestStore>(test_store: &B, service: &TestService, step: &str) {
    let first = answered(service.call(step, effect::<B>(step, "done")).await);
    assert!(!first.repeated && matches!(first.outcome, Decision::Done(_)), "{first:?}");
    assert_eq!(answered(service.call(step, never()).await), again(&first));
    assert_eq!(test_store.count(step).await, 1);
}

fn panicking<B: TestStore>(label: &'static str, writes: bool) -> Call {
    work(move |connection| {
        if writes {
            B::add(connection, label)?;
        }
        panic!("out of dice")
    })
}

fn spoiling<B: TestStore>(label: &'static str) -> Call {
    work(move |connection| {
        B::fail_commit(connection)?;
        effect::<B>(label, "done")(connection)
    })
}
