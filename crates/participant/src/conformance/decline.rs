//! A decline of a call is an answer like any other: stored, and replayed whatever the business thinks later.

use futures::future::join_all;

use crate::{
    conformance::{
        TestStore,
        service::{Call, TestService, again, answered, effect, effect_then, work},
    },
    decision::{Decision, Decline, WorkError},
    inbox::Error,
};

fn no() -> Decline {
    Decline::new("INSUFFICIENT_FUNDS", "the wallet holds 3.00 EUR, \u{201e}zu wenig\u{201c}")
}

/// The saga has turned back by then: a yes that comes later would be an effect that nobody undoes.
pub async fn a_decline_is_replayed_though_the_business_would_accept_by_now<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let first = service.call("charge", effect_then::<B>("charge", no().into())).await;
    let first = answered(first);
    assert_eq!((&first.outcome, first.repeated), (&Decision::Declined(no()), false));
    for _ in 0..3 {
        let repeat = answered(service.call("charge", effect::<B>("charge", "charged")).await);
        assert_eq!(repeat, again(&first));
    }
    assert_eq!(test_store.count("charge").await, 0);
}

/// What the work wrote before it declined goes; what others wrote stays.
pub async fn a_decline_leaves_no_effect_of_its_work<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    answered(service.call("before", effect::<B>("charge", "charged")).await);
    answered(service.call("charge", effect_then::<B>("charge", no().into())).await);
    assert_eq!(test_store.count("charge").await, 1);
    answered(service.call("after", effect::<B>("charge", "charged")).await);
    assert_eq!(test_store.count("charge").await, 2);
}

/// The record of an attempt that failed is kept once, with the decline that it explains.
pub async fn a_decline_that_keeps_its_writes_keeps_them_once<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let keeping = || effect_then::<B>("charge", WorkError::DeclinedKeeping(no()));
    let first = answered(service.call("charge", keeping()).await);
    assert_eq!((&first.outcome, first.repeated), (&Decision::Declined(no()), false));
    assert_eq!(test_store.count("charge").await, 1);
    for _ in 0..3 {
        let repeat = answered(service.call("charge", keeping()).await);
        assert_eq!(repeat, again(&first));
    }
    assert_eq!(test_store.count("charge").await, 1);
}

/// They may share a transaction: what one takes back is its own.
pub async fn calls_at_once_that_end_in_every_way_leave_each_other_alone<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    let ends: [fn() -> Call; 5] = [
        || effect::<B>("kept", "done"),
        || effect_then::<B>("gone", no().into()),
        || work(|_| Err(no().into())),
        || effect_then::<B>("kept", WorkError::DeclinedKeeping(no())),
        || effect_then::<B>("gone", WorkError::technical("the gateway is away")),
    ];
    let steps: Vec<String> = (0..50).map(|number| format!("step_{number}")).collect();
    let call = |number: usize| service.call(&steps[number], ends[number % ends.len()]());
    let firsts = join_all((0..steps.len()).map(call)).await;
    let repeats = join_all((0..steps.len()).map(call)).await;
    for (number, (first, repeat)) in firsts.into_iter().zip(repeats).enumerate() {
        if number % ends.len() == 4 {
            assert!(matches!((first, repeat), (Err(Error::Work(_)), Err(Error::Work(_)))));
            continue;
        }
        let (first, repeat) = (answered(first), answered(repeat));
        assert_eq!(matches!(first.outcome, Decision::Done(_)), number % ends.len() == 0);
        assert_eq!(repeat, again(&first));
    }
    assert_eq!((test_store.count("kept").await, test_store.count("gone").await), (20, 0));
}
