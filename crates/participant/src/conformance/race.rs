//! Deliveries that race come to one order of the two, never to a mixture.

use bytes::Bytes;
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::{
    conformance::{
        TestStore,
        service::{TestService, again, answered, effect, undoing, undone},
    },
    decision::{Answered, Decision, Decline},
};

const ROUNDS: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstArrival {
    Call,
    Undo,
}

/// On two threads, started in turn, so that either may come first; the run must have met both orders.
pub async fn a_call_that_races_its_undo_is_undone_or_superseded<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    let mut orders = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let step = format!("step_{round}");
        let (call, undo) = if round % 2 == 0 {
            let call = call::<B>(&service, &step);
            (call, undo::<B>(&service, &step))
        } else {
            let undo = undo::<B>(&service, &step);
            (call::<B>(&service, &step), undo)
        };
        let answers = join_deliveries(vec![call, undo]).await;
        orders.push(check_order(test_store, &step, &answers[0], &answers[1]).await);
    }
    for first in [FirstArrival::Call, FirstArrival::Undo] {
        assert!(orders.contains(&first), "no round met {first:?} first");
    }
}

/// Sixteen of each, of one step: one call and one undo at most take effect, and all agree on what happened.
pub async fn many_calls_that_race_many_undos_agree_on_what_happened<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for round in 0..8 {
        let step = format!("step_{round}");
        let both = (0..16).map(|_| (call::<B>(&service, &step), undo::<B>(&service, &step)));
        let (calls, undos): (Vec<_>, Vec<_>) = both.unzip();
        let (calls, undos) = (join_deliveries(calls).await, join_deliveries(undos).await);
        for (call, undo) in calls.iter().zip(&undos) {
            assert_eq!((again(call), again(undo)), (again(&calls[0]), again(&undos[0])));
        }
        check_order(test_store, &step, &calls[0], &undos[0]).await;
    }
}

fn call<B: TestStore>(service: &TestService, step: &str) -> JoinHandle<Answered> {
    let (service, step) = (service.clone(), step.to_owned());
    tokio::spawn(async move {
        answered(service.call(&step, effect::<B>(&format!("{step} call"), "done")).await)
    })
}

fn undo<B: TestStore>(service: &TestService, step: &str) -> JoinHandle<Answered> {
    let (service, step) = (service.clone(), step.to_owned());
    tokio::spawn(async move {
        answered(service.undo(&step, undoing::<B>(&format!("{step} undo"))).await)
    })
}

async fn join_deliveries(deliveries: Vec<JoinHandle<Answered>>) -> Vec<Answered> {
    let joined = join_all(deliveries).await.into_iter();
    joined.map(|delivery| delivery.expect("no panic")).collect()
}

/// Which came first, by the answers; the effects must say the same.
async fn check_order<B: TestStore>(
    test_store: &B,
    step: &str,
    call: &Answered,
    undo: &Answered,
) -> FirstArrival {
    let effects = effects(test_store, step).await;
    if call.outcome == Decision::Done(Bytes::from_static(b"done")) {
        assert_eq!(undo.outcome, Decision::Done(undone(b"done")), "{step}: the call came first");
        assert_eq!(effects, (1, 1), "{step}: the call came first");
        return FirstArrival::Call;
    }
    assert_eq!(call.outcome, Decision::Declined(Decline::superseded()), "{step}");
    assert_eq!(undo.outcome, Decision::NothingToUndo, "{step}: the undo came first");
    assert_eq!(effects, (0, 0), "{step}: the undo came first");
    FirstArrival::Undo
}

async fn effects<B: TestStore>(test_store: &B, step: &str) -> (i64, i64) {
    (
        test_store.count(&format!("{step} call")).await,
        test_store.count(&format!("{step} undo")).await,
    )
}
