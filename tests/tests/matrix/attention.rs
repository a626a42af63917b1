//! A saga that needs a person: it shows so at once, its caller learns it at once, and all goes on that does not wait.

use std::time::Duration;

use kit::{Fault, Mesh, Planned, Times};
use proto::{
    checkout::v1::{PlaceOrderRequest, checkout_service_client::CheckoutServiceClient},
    saga::v1::{
        EventKind, GetSagaRequest, ListSagasRequest, PauseSagaRequest, ResolveSagaRequest,
        ResumeSagaRequest, RetrySagaRequest, Saga, SagaState, StartSagaRequest, StepState,
        WaitSagaRequest, WaitUntil, WatchSagaRequest,
    },
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    place_order::{AFTER_PLACING, order},
    shop::{BEFORE_ANY_SAGA, balances, check_books, furnish, sku, user, wiring},
};

/// Longer than anything here waits.
const LONG: Duration = Duration::from_secs(280);

fn placed(number: usize) -> PlaceOrderRequest {
    let line = proto::checkout::v1::Line { sku: sku(number), quantity: 2 };
    PlaceOrderRequest {
        submit_token: "t".to_owned(),
        user_id: user(number),
        lines: vec![line],
        points: 5,
    }
}

async fn start(mesh: &Mesh, number: usize) -> String {
    let order = order(number);
    let request = StartSagaRequest {
        definition: order.definition,
        key: order.key,
        input_json: order.input_json,
        version: 0,
    };
    mesh.sagas().start_saga(request).await.unwrap().into_inner().saga_id
}

async fn wait(mesh: &Mesh, saga_id: &str, until: WaitUntil) -> Saga {
    let timeout = prost_types::Duration::try_from(LONG).ok();
    let saga_id = saga_id.to_owned();
    let request = WaitSagaRequest { saga_id, timeout, until: until.into() };
    mesh.sagas().wait_saga(request).await.unwrap().into_inner().saga.unwrap()
}

async fn get(mesh: &Mesh, saga_id: &str) -> Saga {
    let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
    mesh.sagas().get_saga(request).await.unwrap().into_inner().saga.unwrap()
}

async fn retry(mesh: &Mesh, saga_id: &str) {
    let reason = "it is mended".to_owned();
    let request = RetrySagaRequest { saga_id: saga_id.to_owned(), reason };
    mesh.sagas().retry_saga(request).await.unwrap();
}

fn step(saga: &Saga, name: &str) -> StepState {
    saga.steps.iter().find(|step| step.step == name).unwrap().state()
}

/// Reads the saga's journal until this step has an answer to its undo.
async fn undone(mesh: &Mesh, saga_id: &str, step: &str) {
    let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
    let mut events = mesh.sagas().watch_saga(request).await.unwrap().into_inner();
    loop {
        let event = events.message().await.unwrap().unwrap().event.unwrap();
        if event.kind() == EventKind::UndoAnswered && event.step == step && event.reason.is_empty()
        {
            return;
        }
    }
}

/// The charge is declined; the stock is not given back, and the points only at the third time of asking.
fn stuck_stock(mesh: &Mesh, number: usize) {
    let unavailable = Fault::Status(Code::Unavailable);
    mesh.script().plan(
        &order(number).key,
        [
            Planned::call("charge_payment", Fault::Decline, Times::Always),
            Planned::undo("freeze_stock", Fault::Decline, Times::Always),
            Planned::undo("deduct_points", unavailable, Times::Once),
            Planned::undo("deduct_points", unavailable, Times::Once),
        ],
    );
}

#[test]
fn an_undo_that_needs_a_person_holds_no_other_undo_and_what_came_before_both_waits() {
    let mesh = wiring().start();
    furnish(&mesh, [0]);
    stuck_stock(&mesh, 0);
    mesh.block_on(async {
        let saga_id = start(&mesh, 0).await;
        let settled = wait(&mesh, &saga_id, WaitUntil::Settled).await;
        assert_eq!(settled.state(), SagaState::Attention, "{settled:?}");
        undone(&mesh, &saga_id, "deduct_points").await;
        let saga = get(&mesh, &saga_id).await;
        assert_eq!(saga.state(), SagaState::Attention, "{saga:?}");
        assert_eq!(step(&saga, "freeze_stock"), StepState::Stuck);
        assert_eq!(step(&saga, "deduct_points"), StepState::Undone);
        assert_eq!(step(&saga, "create_order"), StepState::Done, "it came before the stuck one");
        let parked = async {
            let request = WatchSagaRequest { saga_id: saga_id.clone(), after_seq: 0 };
            let mut events = mesh.sagas().watch_saga(request).await.unwrap().into_inner();
            let mut parked = 0;
            while let Some(response) = events.message().await.unwrap() {
                parked += usize::from(response.event.unwrap().kind() == EventKind::Parked);
            }
            parked
        };
        mesh.script().heal(&order(0).key);
        retry(&mesh, &saga_id).await;
        assert_eq!(wait(&mesh, &saga_id, WaitUntil::Ended).await.state(), SagaState::Compensated);
        assert_eq!(parked.await, 1, "a person was called more than once");
    });
    assert_eq!(balances(&mesh, 0), BEFORE_ANY_SAGA);
    check_books(&mesh);
}

#[test]
fn a_saga_that_needs_a_person_goes_on_undoing_also_after_its_node_died() {
    let mut mesh = wiring().start();
    furnish(&mesh, [0]);
    stuck_stock(&mesh, 0);
    let saga_id = mesh.block_on(async {
        let saga_id = start(&mesh, 0).await;
        wait(&mesh, &saga_id, WaitUntil::Settled).await;
        saga_id
    });
    mesh.crash();
    mesh.restart();
    mesh.block_on(async {
        undone(&mesh, &saga_id, "deduct_points").await;
        assert_eq!(get(&mesh, &saga_id).await.state(), SagaState::Attention);
        mesh.script().heal(&order(0).key);
        retry(&mesh, &saga_id).await;
        assert_eq!(wait(&mesh, &saga_id, WaitUntil::Ended).await.state(), SagaState::Compensated);
    });
    check_books(&mesh);
}

#[test]
fn the_caller_of_a_served_method_learns_at_once_that_its_saga_needs_a_person_and_later_its_end() {
    let mesh = wiring().start();
    furnish(&mesh, [0]);
    // The step is behind the pivot, where there is no way back.
    mesh.script()
        .plan(&order(0).key, [Planned::call("confirm_stock", Fault::Decline, Times::Always)]);
    mesh.block_on(async {
        let mut checkout = CheckoutServiceClient::new(mesh.orchestrator());
        // The first caller waits from the start, the second finds the saga as it stands.
        for _ in 0..2 {
            let began = mesh.clock().now();
            let refused = checkout.place_order(placed(0)).await.unwrap_err();
            let took = mesh.clock().now().since(began);
            assert!(took < Duration::from_secs(20), "{took:?} of the saga's deadline of 30 s");
            assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
            let details = refused.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!(info.reason, "SAGA_ATTENTION");
            assert_eq!(info.metadata["step"], "confirm_stock");
            let saga = get(&mesh, &info.metadata["saga_id"]).await;
            assert_eq!(saga.state(), SagaState::Attention);
        }
        mesh.script().heal(&order(0).key);
        let sagas =
            mesh.sagas().list_sagas(ListSagasRequest::default()).await.unwrap().into_inner().sagas;
        retry(&mesh, &sagas[0].saga_id).await;
        let placed = checkout.place_order(placed(0)).await.unwrap().into_inner();
        assert!(placed.result.unwrap().success);
    });
    assert_eq!(balances(&mesh, 0), AFTER_PLACING);
    check_books(&mesh);
}

#[test]
fn who_waits_until_a_saga_is_settled_learns_of_a_pause_and_who_waits_for_its_end_does_not() {
    let mesh = wiring().start();
    furnish(&mesh, [0]);
    let unavailable = Fault::Status(Code::Unavailable);
    mesh.script().plan(&order(0).key, [Planned::call("mark_paid", unavailable, Times::Always)]);
    mesh.block_on(async {
        let saga_id = start(&mesh, 0).await;
        let by_hand = || "by hand".to_owned();
        let ended = wait(&mesh, &saga_id, WaitUntil::Unspecified);
        let acted = async {
            let settled = wait(&mesh, &saga_id, WaitUntil::Settled);
            let pause = async {
                let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: by_hand() };
                mesh.sagas().pause_saga(pause).await.unwrap();
            };
            let (settled, ()) = tokio::join!(settled, pause);
            assert_eq!(settled.state(), SagaState::Paused);
            // A wait for a saga that is settled already returns at once.
            let settled = wait(&mesh, &saga_id, WaitUntil::Settled).await;
            assert_eq!(settled.state(), SagaState::Paused);
            mesh.script().heal(&order(0).key);
            let resume = ResumeSagaRequest { saga_id: saga_id.clone(), reason: by_hand() };
            mesh.sagas().resume_saga(resume).await.unwrap();
        };
        let (ended, ()) = tokio::join!(ended, acted);
        assert_eq!(ended.state(), SagaState::Succeeded);
    });
    check_books(&mesh);
}

/// A saga that no task runs: its journal was cut off while the mesh was down.
fn aside(mesh: &mut Mesh) -> String {
    furnish(mesh, [0]);
    let unavailable = Fault::Status(Code::Unavailable);
    mesh.script()
        .plan(&order(0).key, [Planned::call("charge_payment", unavailable, Times::Always)]);
    let saga_id = mesh.block_on(async {
        let saga_id = start(mesh, 0).await;
        let pause = PauseSagaRequest { saga_id: saga_id.clone(), reason: "wait".to_owned() };
        mesh.sagas().pause_saga(pause).await.unwrap();
        mesh.driver().journal().set_aside(&saga_id, reason()).await.unwrap();
        saga_id
    });
    mesh.crash();
    mesh.restart();
    saga_id
}

fn reason() -> saga::Reason {
    saga::Reason::new("JOURNAL_UNREADABLE", "as the test says")
}

#[test]
fn who_waits_for_a_saga_that_no_task_runs_reads_little_and_is_woken_when_a_person_closes_it() {
    let mut mesh = wiring().start();
    let saga_id = aside(&mut mesh);
    mesh.block_on(async {
        let reads = mesh.reads();
        let waiting = wait(&mesh, &saga_id, WaitUntil::Ended);
        let acted = async {
            // Six seconds of the mesh's time pass: with 20 polls a second the saga would have been read 120 times.
            mesh.clock().sleep(Duration::from_secs(6)).await;
            let looked = mesh.reads() - reads;
            assert!(looked <= 6, "{looked} reads by one who waits");
            let began = mesh.clock().now();
            let resolve =
                ResolveSagaRequest { saga_id: saga_id.clone(), reason: "by hand".to_owned() };
            mesh.sagas().resolve_saga(resolve).await.unwrap();
            began
        };
        let (ended, began) = tokio::join!(waiting, acted);
        assert_eq!(ended.state(), SagaState::Resolved);
        let took = mesh.clock().now().since(began);
        assert!(took < Duration::from_secs(4), "not woken, but found at the next look: {took:?}");
    });
}

#[test]
fn a_thousand_who_wait_for_one_saga_share_its_reading_and_are_woken_together() {
    const WAITERS: u64 = 1_000;
    let mut mesh = wiring().start();
    let saga_id = aside(&mut mesh);
    mesh.block_on(async {
        let reads = mesh.reads();
        let waiting = futures::future::join_all(
            (0..WAITERS).map(|_| wait(&mesh, &saga_id, WaitUntil::Ended)),
        );
        let acted = async {
            mesh.clock().sleep(Duration::from_secs(6)).await;
            // Each has looked whether it stands as wanted, once when it came and once after five seconds.
            let looked = mesh.reads() - reads;
            assert!(looked <= 2 * WAITERS + WAITERS / 10, "{looked} reads by those who wait");
            let resolve =
                ResolveSagaRequest { saga_id: saga_id.clone(), reason: "by hand".to_owned() };
            mesh.sagas().resolve_saga(resolve).await.unwrap();
            mesh.clock().now()
        };
        let (ended, acted) = tokio::join!(waiting, acted);
        assert!(ended.iter().all(|saga| saga.state() == SagaState::Resolved));
        let took = mesh.clock().now().since(acted);
        assert!(took < Duration::from_secs(4), "they were woken and did not look: {took:?}");
    });
}

#[test]
fn recovery_reads_no_saga_again_that_is_asleep_until_a_person_has_acted() {
    let mesh = wiring().start();
    let numbers = 0..20;
    furnish(&mesh, numbers.clone());
    let unavailable = Fault::Status(Code::Unavailable);
    mesh.block_on(async {
        for number in numbers {
            let planned = Planned::call("charge_payment", unavailable, Times::Always);
            mesh.script().plan(&order(number).key, [planned]);
            let saga_id = start(&mesh, number).await;
            let pause = PauseSagaRequest { saga_id, reason: "wait".to_owned() };
            mesh.sagas().pause_saga(pause).await.unwrap();
        }
        // A saga that falls asleep while recovery looks may be taken up once more.
        while mesh.driver().running() > 0 {
            tokio::task::yield_now().await;
        }
        let reads = mesh.reads();
        for _ in 0..3 {
            assert_eq!(mesh.driver().recover_once().await.unwrap(), 0);
        }
        assert_eq!(mesh.reads(), reads, "sagas were read that are asleep");
    });
    drop(mesh);
}
