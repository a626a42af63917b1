//! A key that is used for another request is refused, and what it holds stays.

use crate::{
    conformance::{
        TestStore,
        service::{
            CALL, REQUEST, TestService, UNDO, again, answered, effect, effect_then, key, never,
            never_undo, undoing,
        },
    },
    decision::{Answered, Decline, WorkError},
    inbox::Error,
    key::Direction,
};

/// What differs from the first delivery to `method`: the request, or only the method that it was sent to.
fn others(method: &str) -> [(String, &[u8]); 3] {
    // As long as the method itself, so that nothing but its letters tells it apart.
    let other = method.replace("eeze", "ozen");
    assert_ne!(other, method);
    [(method.to_owned(), b"four of sku 1"), (method.to_owned(), b""), (other, REQUEST)]
}

/// Another request, and the same bytes sent to another method.
pub async fn a_call_with_another_request_is_refused_and_the_first_answer_stays<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let first = answered(service.call("freeze", effect::<B>("call", "done")).await);
    refuses_other_calls(&service, "freeze").await;
    assert_eq!(answered(service.call("freeze", never()).await), again(&first));
    assert_eq!(test_store.count("call").await, 1);
}

/// A decline is bound to its request like any other answer.
pub async fn a_declined_call_with_another_request_is_refused<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let no = WorkError::from(Decline::new("INSUFFICIENT_STOCK", "only two are left"));
    let first = answered(service.call("freeze", effect_then::<B>("call", no)).await);
    refuses_other_calls(&service, "freeze").await;
    assert_eq!(answered(service.call("freeze", never()).await), again(&first));
}

/// Whether the undo had something to undo or not.
pub async fn an_undo_with_another_request_is_refused_and_the_first_answer_stays<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    answered(service.call("freeze", effect::<B>("call", "done")).await);
    let undone = answered(service.undo("freeze", undoing::<B>("undo")).await);
    let nothing = answered(service.undo("charge", never_undo()).await);
    for (step, first) in [("freeze", undone), ("charge", nothing)] {
        for (method, request) in others(UNDO) {
            let key = key(step, Direction::Undo);
            let other = service.undo_as(key, &method, request, never_undo()).await;
            assert_reused(&other, &format!("saga/saga-1/{step}/undo"));
        }
        assert_eq!(answered(service.undo(step, never_undo()).await), again(&first));
    }
    assert_eq!(test_store.count("undo").await, 1);
}

/// Sent the wrong way round, a delivery is refused before it can leave anything.
pub async fn a_direction_that_the_method_does_not_take_is_refused_and_leaves_nothing<
    B: TestStore,
>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let undo = key("freeze", Direction::Undo);
    let call = service.call_as(undo, CALL, REQUEST, never()).await;
    assert!(matches!(call, Err(Error::Direction { sent: Direction::Undo, .. })), "{call:?}");
    let forward = key("freeze", Direction::Forward);
    let undo = service.undo_as(forward, UNDO, REQUEST, never_undo()).await;
    assert!(matches!(undo, Err(Error::Direction { sent: Direction::Forward, .. })), "{undo:?}");

    let call = answered(service.call("freeze", effect::<B>("call", "done")).await);
    let undo = answered(service.undo("freeze", undoing::<B>("undo")).await);
    assert!(!call.repeated && !undo.repeated);
}

async fn refuses_other_calls(service: &TestService, step: &str) {
    for (method, request) in others(CALL) {
        let key = key(step, Direction::Forward);
        let other = service.call_as(key, &method, request, never()).await;
        assert_reused(&other, &format!("saga/saga-1/{step}/forward"));
    }
}

fn assert_reused(delivered: &Result<Answered, Error>, expected: &str) {
    match delivered {
        Err(Error::KeyReused { key }) => assert_eq!(key.to_string(), expected),
        other => panic!("another request under {expected} came to {other:?}"),
    }
}
