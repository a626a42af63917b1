//! An undo undoes what its call did, or closes the call's key for good.

use std::time::Duration;

use bytes::Bytes;
use clock::Clock;

use crate::{
    conformance::{
        TestStore,
        service::{
            CALL, TestService, again, answered, effect, effect_then, gate, gated, key, never,
            never_undo, undo_effect_then, undoing, undone,
        },
    },
    decision::{Answered, Decision, Decline, SUPERSEDED, WorkError},
    inbox::Error,
    key::Direction,
};

/// It runs with the response of its call and has an answer of its own, which its repeats get.
pub async fn an_undo_takes_effect_once_and_is_given_its_calls_response<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let call = answered(service.call("freeze", effect::<B>("call", "flow 17")).await);
    let first = answered(service.undo("freeze", undoing::<B>("undo")).await);
    assert_eq!((&first.outcome, first.repeated), (&Decision::Done(undone(b"flow 17")), false));
    assert_ne!(first.trace_id, call.trace_id);
    for _ in 0..3 {
        let repeat = answered(service.undo("freeze", never_undo()).await);
        assert_eq!(repeat, again(&first));
    }
    assert_eq!((test_store.count("call").await, test_store.count("undo").await), (1, 1));
}

/// A delivery that comes late is told what the call came to, and takes no effect again.
pub async fn a_repeat_of_a_call_that_was_undone_gets_its_answer_and_no_effect<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let call = answered(service.call("freeze", effect::<B>("call", "flow 17")).await);
    answered(service.undo("freeze", undoing::<B>("undo")).await);
    let late = answered(service.call("freeze", never()).await);
    assert_eq!(late, again(&call));
    assert_eq!((test_store.count("call").await, test_store.count("undo").await), (1, 1));
}

/// The call may still be on its way, so this is an answer to keep, not a guess.
pub async fn an_undo_without_a_call_has_nothing_to_undo_and_so_has_its_repeat<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let first = answered(service.undo("freeze", never_undo()).await);
    assert_eq!((&first.outcome, first.repeated), (&Decision::NothingToUndo, false));
    for _ in 0..2 {
        let repeat = answered(service.undo("freeze", never_undo()).await);
        assert_eq!(repeat, again(&first));
    }
}

/// For ever, and whatever its request is: the tombstone has not seen the request that it refuses.
pub async fn a_call_after_its_undo_is_superseded_and_has_no_effect<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let undo = answered(service.undo("freeze", never_undo()).await);
    let late = answered(service.call("freeze", never()).await);
    assert_eq!(reason(&late), Some(SUPERSEDED));
    for _ in 0..2 {
        assert_eq!(answered(service.call("freeze", never()).await), late);
    }
    let other = key("freeze", Direction::Forward);
    let other = service.call_as(other, CALL, b"another request", never()).await;
    assert_eq!(answered(other), late);
    assert_eq!(answered(service.undo("freeze", never_undo()).await), again(&undo));
}

/// The call's stored decline stays its answer.
pub async fn an_undo_of_a_declined_call_has_nothing_to_undo<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let no = WorkError::from(Decline::new("INSUFFICIENT_STOCK", "only two are left"));
    let declined = answered(service.call("freeze", effect_then::<B>("call", no)).await);
    let undo = answered(service.undo("freeze", never_undo()).await);
    assert_eq!((&undo.outcome, undo.repeated), (&Decision::NothingToUndo, false));
    let repeat = answered(service.undo("freeze", never_undo()).await);
    assert_eq!(repeat, again(&undo));
    assert_eq!(answered(service.call("freeze", never()).await), again(&declined));
}

/// It goes to a person, and when that person has mended the cause the same undo must be able to succeed.
pub async fn an_undo_that_declines_keeps_nothing_and_its_repeat_can_succeed<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    answered(service.call("charge", effect::<B>("call", "payment 5")).await);
    let no = || Decline::new("WALLET_UNKNOWN", "the wallet was closed");
    for failure in [WorkError::Declined(no()), WorkError::DeclinedKeeping(no())] {
        let declined = service.undo("charge", undo_effect_then::<B>("undo", failure)).await;
        let declined = answered(declined);
        assert_eq!((declined.outcome, declined.repeated), (Decision::Declined(no()), false));
        assert_eq!(test_store.count("undo").await, 0);
    }
    let undo = answered(service.undo("charge", undoing::<B>("undo")).await);
    assert_eq!((undo.outcome, undo.repeated), (Decision::Done(undone(b"payment 5")), false));
    assert_eq!(test_store.count("undo").await, 1);
}

/// As with a call: nothing is stored, and the repeat runs it again.
pub async fn an_undo_that_fails_keeps_nothing_and_its_repeat_can_succeed<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    answered(service.call("charge", effect::<B>("call", "payment 5")).await);
    let failure = WorkError::technical("the wallet's disk is on fire");
    let failed = service.undo("charge", undo_effect_then::<B>("undo", failure)).await;
    assert!(matches!(failed, Err(Error::Work(_))), "{failed:?}");
    assert_eq!(test_store.count("undo").await, 0);
    let undo = answered(service.undo("charge", undoing::<B>("undo")).await);
    assert_eq!((undo.outcome, undo.repeated), (Decision::Done(undone(b"payment 5")), false));
    assert_eq!(test_store.count("undo").await, 1);
}

/// The undo finds the key taken, waits for the call's end, and undoes it.
pub async fn an_undo_that_meets_a_running_call_waits_for_it_and_undoes_it<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let (at, mut keeper) = gate();
    let call = tokio::spawn({
        let service = service.clone();
        async move { service.call("freeze", gated::<B>(at, "call", "flow 17")).await }
    });
    (&mut keeper.reached).await.expect("the call's work runs");
    let mut undo = Box::pin(service.undo("freeze", undoing::<B>("undo")));
    // Within this time a store that does not wait for the call would have answered.
    let early = Clock::system().timeout(Duration::from_millis(50), &mut undo).await;
    assert!(early.is_err(), "answered while its call was running: {early:?}");
    keeper.open();
    let call = answered(call.await.expect("no panic"));
    assert_eq!(call.outcome, Decision::Done(Bytes::from_static(b"flow 17")));
    assert_eq!(answered(undo.await).outcome, Decision::Done(undone(b"flow 17")));
    assert_eq!((test_store.count("call").await, test_store.count("undo").await), (1, 1));
}

fn reason(answered: &Answered) -> Option<&str> {
    match &answered.outcome {
        Decision::Declined(decline) => Some(&decline.reason),
        Decision::Done(_) | Decision::NothingToUndo => None,
    }
}
