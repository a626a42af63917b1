//! Operators against the running engine: several at once, at any instant, on one saga.

use std::collections::BTreeMap;

use proto::saga::v1::{
    CancelSagaRequest, EventKind, PauseSagaRequest, ResolveSagaRequest, ResumeSagaRequest,
    RetrySagaRequest, SagaState, SkipStepRequest,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use stage::code_or_status;
use tests::{Mesh, Wiring, shop::TEA};

use crate::{
    books, errand, panics,
    races::{Kinds, linger, start_placing},
    seed,
};

/// What an operator may do, and the record that it leaves.
const SAFE_ORDERS: [EventKind; 4] =
    [EventKind::Paused, EventKind::Resumed, EventKind::Retried, EventKind::Cancelled];
const ALL_ORDERS: [EventKind; 6] = [
    EventKind::Paused,
    EventKind::Resumed,
    EventKind::Retried,
    EventKind::Cancelled,
    EventKind::SkippedByHand,
    EventKind::Resolved,
];

/// Does one thing to a saga; whether it was carried out.
async fn order(mesh: &Mesh, saga_id: &str, what: EventKind, rng: &mut StdRng) -> bool {
    let (saga_id, reason) = (saga_id.to_owned(), "a race".to_owned());
    let mut sagas = mesh.sagas();
    let answer = match what {
        EventKind::Paused => {
            code_or_status(sagas.pause_saga(PauseSagaRequest { saga_id, reason }).await)
        }
        EventKind::Resumed => {
            code_or_status(sagas.resume_saga(ResumeSagaRequest { saga_id, reason }).await)
        }
        EventKind::Retried => {
            code_or_status(sagas.retry_saga(RetrySagaRequest { saga_id, reason }).await)
        }
        EventKind::Cancelled => {
            code_or_status(sagas.cancel_saga(CancelSagaRequest { saga_id, reason }).await)
        }
        EventKind::SkippedByHand => {
            let steps =
                ["freeze_stock", "deduct_points", "charge_payment", "confirm_stock", "mark_paid"];
            let step = steps[rng.random_range(0..steps.len())].to_owned();
            code_or_status(sagas.skip_step(SkipStepRequest { saga_id, step, reason }).await)
        }
        EventKind::Resolved => {
            code_or_status(sagas.resolve_saga(ResolveSagaRequest { saga_id, reason }).await)
        }
        other => panic!("no operator does {other:?}"),
    };
    match answer.as_str() {
        "OK" => true,
        "FailedPrecondition SAGA_STATE" => false,
        other => panic!("{what:?} came to {other}"),
    }
}

/// Lets operators loose on one saga; what was carried out, how often.
async fn race(
    mesh: &Mesh,
    saga_id: &str,
    what: &[EventKind],
    rng: &mut StdRng,
) -> BTreeMap<EventKind, usize> {
    let operators = (0..4).map(|_| {
        let mut rng = StdRng::seed_from_u64(rng.random());
        async move {
            let mut done = Vec::new();
            for _ in 0..4 {
                linger(&mut rng, 80).await;
                let what = what[rng.random_range(0..what.len())];
                if order(mesh, saga_id, what, &mut rng).await {
                    done.push(what);
                }
            }
            done
        }
    });
    let mut carried_out = BTreeMap::new();
    for what in futures::future::join_all(operators).await.into_iter().flatten() {
        *carried_out.entry(what).or_default() += 1;
    }
    carried_out
}

/// One saga, raced and brought to its end. Every order that was answered OK is one record, and no other is.
async fn round(
    mesh: &Mesh,
    key: &str,
    what: &[EventKind],
    rng: &mut StdRng,
    kinds: &mut Kinds,
) -> SagaState {
    let saga_id = start_placing(mesh, key, 1).await;
    let mut carried_out = race(mesh, &saga_id, what, rng).await;
    loop {
        let request =
            proto::saga::v1::GetSagaRequest { saga_id: saga_id.clone(), include_payloads: false };
        let saga = mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap();
        let next = match saga.state() {
            SagaState::Paused => Some(EventKind::Resumed),
            SagaState::Attention => Some(EventKind::Resolved),
            SagaState::Running | SagaState::Compensating => None,
            _ => break,
        };
        match next {
            Some(next) if order(mesh, &saga_id, next, rng).await => {
                *carried_out.entry(next).or_default() += 1;
            }
            _ => tokio::task::yield_now().await,
        }
    }
    let events = mesh.saga_events(&saga_id).await;
    let mut recorded = BTreeMap::new();
    let mut story = Vec::new();
    for event in &events {
        if ALL_ORDERS.contains(&event.kind()) {
            *recorded.entry(event.kind()).or_default() += 1;
            story.push(format!("{:?}@{}", event.kind(), event.seq));
        }
    }
    assert_eq!(recorded, carried_out, "{saga_id}: what was answered is not what was recorded");
    let ends = [EventKind::Succeeded, EventKind::Compensated, EventKind::Resolved];
    let ended: Vec<usize> =
        (0..events.len()).filter(|at| ends.contains(&events[*at].kind())).collect();
    assert_eq!(ended, [events.len() - 1], "{saga_id} ended other than once and last: {events:#?}");
    kinds.saw(story.join(" "));
    mesh.ended(&saga_id).await.state()
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_saga_is_paused_resumed_retried_and_cancelled_it_is_all_or_nothing() {
    panics::watch();
    let mesh = Mesh::start().await;
    mesh.add_goods("tea", TEA, 1_000_000).await;
    mesh.add_member("ada", 1_000, 1_000_000).await;
    let mut rng = seed::rng("operators");
    let (mut kinds, mut succeeded) = (Kinds::default(), 0);
    for number in 0..seed::times(40) {
        // A cancel wins sooner or later, so only every other saga gets one.
        let what = &SAFE_ORDERS[..SAFE_ORDERS.len() - number % 2];
        match round(&mesh, &format!("t{number}"), what, &mut rng, &mut kinds).await {
            SagaState::Succeeded => succeeded += 1,
            SagaState::Compensated => {}
            other => panic!("the saga ended {other:?}"),
        }
        let now = mesh.balances().await;
        assert_eq!((now.tea.1, now.tea.2), (0, succeeded));
        assert_eq!(now.wallet, 1_000_000 - succeeded * (TEA - 1));
        assert_eq!(now.points, 1_000 - succeeded);
    }
    println!("operators: {succeeded} succeeded");
    assert!(succeeded > 0, "no saga was ever let through");
    kinds.assert_several("pause, resume, retry and cancel");
    books::assert_sound(mesh.data()).await;
    panics::none();
}

#[tokio::test(flavor = "multi_thread")]
async fn however_steps_are_skipped_and_sagas_resolved_each_ends_once_and_the_books_add_up() {
    panics::watch();
    // A step that was skipped by hand leaves the books and the order apart.
    let mesh = Wiring::default().damaged().start().await;
    mesh.add_goods("tea", TEA, 1_000_000).await;
    mesh.add_member("ada", 1_000, 1_000_000).await;
    let mut rng = seed::rng("skips");
    let (mut kinds, mut ends) = (Kinds::default(), BTreeMap::<String, usize>::new());
    for number in 0..seed::times(40) {
        let end = round(&mesh, &format!("t{number}"), &ALL_ORDERS, &mut rng, &mut kinds).await;
        *ends.entry(end.as_str_name().to_owned()).or_default() += 1;
    }
    println!("skips: {ends:?}");
    kinds.assert_several("skip and resolve");
    errand::end_all(&mesh).await;
    books::assert_sound(mesh.data()).await;
    panics::none();
}
