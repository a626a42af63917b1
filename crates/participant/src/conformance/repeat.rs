//! A key takes effect once, and every repeat gets the first answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::future::join_all;

use crate::{
    conformance::{
        TestStore,
        service::{CALL, Call, REQUEST, TestService, again, answered, effect, gate, gated, never},
    },
    decision::Decision,
    key::{Direction, Key},
};

/// Whatever the bytes are, none at all included: some databases keep an empty value as no value.
pub async fn a_repeat_gets_the_first_answer_byte_for_byte_and_runs_nothing<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let every_byte: Bytes = (0..=u8::MAX).collect();
    for (step, response) in [("full", every_byte), ("empty", Bytes::new())] {
        let first = answered(service.call(step, effect::<B>(step, response.clone())).await);
        assert_eq!((&first.outcome, first.repeated), (&Decision::Done(response), false));
        for _ in 0..3 {
            let repeat = answered(service.call(step, never()).await);
            assert_eq!(repeat, again(&first));
        }
        assert_eq!(test_store.count(step).await, 1);
    }
}

/// Each delivery brings a response of its own, so that an answer tells whose work it was.
pub async fn sixty_four_at_once_take_effect_once_and_get_the_same_answer<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let runs = Arc::new(AtomicUsize::new(0));
    let deliveries = (0..64).map(|number| {
        let (service, runs) = (service.clone(), Arc::clone(&runs));
        tokio::spawn(async move {
            let work = counted(runs, effect::<B>("freeze", format!("response {number}")));
            answered(service.call("freeze", work).await)
        })
    });
    let answers: Vec<_> =
        join_all(deliveries).await.into_iter().map(|joined| joined.expect("no panic")).collect();

    let firsts: Vec<_> = answers.iter().filter(|answer| !answer.repeated).collect();
    assert_eq!(firsts.len(), 1, "one delivery decides: {firsts:?}");
    assert!(answers.iter().all(|answer| again(answer) == again(firsts[0])), "{answers:?}");
    assert_eq!((runs.load(Ordering::Relaxed), test_store.count("freeze").await), (1, 1));
}

/// A write outside a saga is keyed by its method and its `request_id`.
pub async fn a_request_outside_a_saga_takes_effect_once<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let key = || Key::request(CALL, "request-1");
    let first =
        answered(service.call_as(key(), CALL, REQUEST, effect::<B>("request", "added")).await);
    let repeat = answered(service.call_as(key(), CALL, REQUEST, never()).await);
    assert_eq!(repeat, again(&first));
    assert_eq!(test_store.count("request").await, 1);
}

/// A request that speaks of a user is keyed by the user too.
pub async fn the_request_id_of_one_user_is_nobody_elses<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for (user, request) in [("ada", &b"of ada"[..]), ("bob", &b"of bob"[..])] {
        let key = || Key::request_of(CALL, user, "r");
        let first = answered(service.call_as(key(), CALL, request, effect::<B>("own", user)).await);
        assert!(!first.repeated, "{user}");
        let repeat = answered(service.call_as(key(), CALL, request, never()).await);
        assert_eq!(repeat, again(&first));
    }
    assert_eq!(test_store.count("own").await, 2);
}

/// Keys did not name users once: such a row answers the request that left it, and is in nobody else's way.
pub async fn a_request_from_before_keys_named_users_is_answered_to_its_user_alone<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let old = Key::request(CALL, "r");
    let first = answered(service.call_as(old, CALL, b"of ada", effect::<B>("old", "of ada")).await);
    let key = |user| Key::request_of(CALL, user, "r");
    let repeat = answered(service.call_as(key("ada"), CALL, b"of ada", never()).await);
    assert_eq!(repeat, again(&first));
    let other =
        answered(service.call_as(key("bob"), CALL, b"of bob", effect::<B>("old", "of bob")).await);
    assert!(!other.repeated);
    assert_eq!(test_store.count("old").await, 2);
}

/// The key is the saga, the step and the direction together.
pub async fn another_saga_or_step_is_another_key<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let keys = [("saga-1", "freeze"), ("saga-2", "freeze"), ("saga-1", "charge")];
    for (saga, step) in keys {
        let key = Key::step(saga, step, Direction::Forward).expect("a well-formed key");
        let first = answered(service.call_as(key, CALL, REQUEST, effect::<B>("any", "done")).await);
        assert!(!first.repeated, "{saga} {step}");
    }
    assert_eq!(test_store.count("any").await, 3);
}

/// What a caller was told, every other connection sees; what it was not yet told, none does.
pub async fn an_answer_comes_after_the_commit<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for round in 0..25 {
        let step = format!("step_{round}");
        answered(service.call(&step, effect::<B>(&step, "done")).await);
        assert_eq!(test_store.count(&step).await, 1, "{step} was answered");
    }
    let (at, mut keeper) = gate();
    let running = tokio::spawn({
        let service = service.clone();
        async move { service.call("gated", gated::<B>(at, "gated", "done")).await }
    });
    (&mut keeper.reached).await.expect("the work runs");
    assert_eq!(test_store.count("gated").await, 0, "seen before its commit");
    assert!(!running.is_finished(), "answered before its commit");
    keeper.open();
    answered(running.await.expect("no panic"));
    assert_eq!(test_store.count("gated").await, 1);
}

/// A caller that gave up its first attempt makes the second while the work of the first is under way.
pub async fn a_repeat_that_meets_its_call_still_running_waits_for_it_and_gets_its_answer<
    B: TestStore,
>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    for gives_up in [false, true] {
        let step = format!("given_up_{gives_up}");
        let (at, mut keeper) = gate();
        let deliver = |work: Call| {
            let (service, step) = (service.clone(), step.clone());
            tokio::spawn(async move { service.call(&step, work).await })
        };
        let first = deliver(gated::<B>(at, &step, "done"));
        (&mut keeper.reached).await.expect("the work runs");
        if gives_up {
            first.abort();
        }
        let repeat = deliver(never());
        tokio::task::yield_now().await;
        assert!(!repeat.is_finished(), "answered before the first was");
        keeper.open();
        let repeat = answered(repeat.await.expect("no panic"));
        assert!(repeat.repeated);
        assert_eq!(repeat.outcome, Decision::Done(Bytes::from_static(b"done")));
        if !gives_up {
            assert_eq!(repeat, again(&answered(first.await.expect("no panic"))));
        }
        assert_eq!(test_store.count(&step).await, 1);
    }
}

fn counted(runs: Arc<AtomicUsize>, work: Call) -> Call {
    Arc::new(move |connection| {
        runs.fetch_add(1, Ordering::Relaxed);
        work(connection)
    })
}
