//! `cancel-order` under every fault: of an order that is paid, shipped, or still being placed.

use kit::{Cell, Fault, Mesh, Planned, Report, Start, Times, cell::every_fault};
use proto::{
    order::v1::{ShipOrderRequest, order_service_client::OrderServiceClient},
    saga::v1::{
        Event, EventKind, GetSagaRequest, PauseSagaRequest, ResumeSagaRequest, SagaState,
        StartSagaRequest, WatchSagaRequest,
    },
};
use saga::Status;
use tonic::Code;

use crate::{
    on_several_meshes,
    place_order::{AFTER_PLACING, order},
    shop::{BEFORE_ANY_SAGA, ORDER, balances, check_books, furnish, order_no, user, wiring},
    with_deaths,
};

/// The cancel of the order of this number.
fn cancel(mesh: &Mesh, number: usize) -> Start {
    let (user, order_no) = (user(number), order_no(mesh, number));
    Start {
        definition: "cancel-order".to_owned(),
        key: format!("{user}/c"),
        input_json: format!(
            r#"{{"user_id": "{user}", "submit_token": "c", "order_no": "{order_no}", "reason": "changed my mind"}}"#
        ),
    }
}

/// Orders of these numbers, placed and paid.
fn placed(mesh: &Mesh, count: usize) {
    furnish(mesh, 0..count);
    let report =
        mesh.play_together(&mesh.definition("place-order"), vec![Cell::default(); count], order);
    report.assert_right();
}

/// The faults of steps that a paid order's cancel has. A paid order's placing is not stopped.
fn cells(mesh: &Mesh) -> Vec<Cell> {
    let mut cells = every_fault(mesh.definition("cancel-order").engine());
    cells.retain(|cell| cell.faults[0].step != "stop_placing");
    cells
}

/// The order is as it was, or all of it is given back.
fn check(mesh: &Mesh, report: &Report) {
    report.assert_right();
    for outcome in &report.outcomes {
        let wanted = match outcome.last {
            Status::Succeeded => BEFORE_ANY_SAGA,
            _ => AFTER_PLACING,
        };
        assert_eq!(balances(mesh, outcome.number), wanted, "{}", outcome.cell);
    }
    check_books(mesh);
}

#[test]
fn every_fault_at_every_step_of_a_cancel_gives_back_all_or_nothing() {
    let mesh = wiring().start();
    let cells = cells(&mesh);
    placed(&mesh, cells.len());
    let starts: Vec<Start> = (0..cells.len()).map(|number| cancel(&mesh, number)).collect();
    let definition = mesh.definition("cancel-order");
    let report = mesh.play_together(&definition, cells.clone(), |number| starts[number].clone());
    println!("cancel-order, one fault: {report}");
    check(&mesh, &report);
    let late = cells.iter().filter(|cell| cell.faults[0].fault == Fault::LateDelivery).count();
    assert_eq!(report.count(|outcome| outcome.seen.superseded > 0), late, "tombstones met");
    assert!(report.count(|outcome| outcome.first == Status::Attention) > 0, "some must park");
}

#[test]
fn every_fault_at_every_step_of_a_return_gives_back_all_or_nothing() {
    let mesh = wiring().start();
    let cells = cells(&mesh);
    placed(&mesh, cells.len());
    let starts: Vec<Start> = (0..cells.len()).map(|number| cancel(&mesh, number)).collect();
    (0..cells.len()).for_each(|number| ship(&mesh, order_no(&mesh, number)));
    let definition = mesh.definition("cancel-order");
    let report = mesh.play_together(&definition, cells, |number| starts[number].clone());
    println!("cancel-order of a shipped order, one fault: {report}");
    check(&mesh, &report);
}

#[test]
fn every_fault_of_a_cancel_while_the_order_is_being_placed_gives_back_all() {
    let mesh = wiring().start();
    // Only these steps run: the placing itself gives back what it had taken.
    let steps = ["order", "begin_cancel"];
    let mut cells = cells(&mesh);
    cells.retain(|cell| steps.contains(&cell.faults[0].step.as_str()));
    furnish(&mesh, 0..cells.len());
    let placing: Vec<String> = (0..cells.len()).map(|number| stall(&mesh, number)).collect();
    let starts: Vec<Start> = (0..cells.len()).map(|number| cancel(&mesh, number)).collect();
    let definition = mesh.definition("cancel-order");
    let report = mesh.play_together(&definition, cells, |number| starts[number].clone());
    println!("cancel-order of an order that is being placed, one fault: {report}");
    report.assert_right();
    // A cancel that was declined early leaves the placing as it was. Once resumed, the placing turns back by itself.
    placing.iter().for_each(|saga_id| resume(&mesh, saga_id));
    for (number, saga_id) in placing.iter().enumerate() {
        assert_eq!(watch(&mesh, saga_id, |_| false), SagaState::Compensated);
        assert_eq!(balances(&mesh, number), BEFORE_ANY_SAGA, "{}", report.outcomes[number].cell);
    }
    check_books(&mesh);
}

fn ship(mesh: &Mesh, order_no: String) {
    let request = ShipOrderRequest { request_id: format!("ship-{order_no}"), order_no };
    let mut orders = OrderServiceClient::new(mesh.service(ORDER));
    let shipped = mesh.block_on(orders.ship_order(request)).unwrap().into_inner();
    assert!(shipped.result.unwrap().success);
}

/// Starts the order of this number, which never gets past its charge, and holds it there: else its deadline would turn
/// it back before the others are there. Gives its saga's id.
fn stall(mesh: &Mesh, number: usize) -> String {
    let start = order(number);
    let away = Planned::call("charge_payment", Fault::Status(Code::Unavailable), Times::Always);
    mesh.script().plan(&start.key, [away]);
    let Start { definition, key, input_json } = start;
    let request = StartSagaRequest { definition, version: 0, key, input_json };
    let started = mesh.block_on(mesh.sagas().start_saga(request)).unwrap().into_inner();
    watch(mesh, &started.saga_id, |event| {
        event.step == "charge_payment" && event.kind() == EventKind::CallAnswered
    });
    let saga_id = started.saga_id;
    let request = PauseSagaRequest { saga_id: saga_id.clone(), reason: "until all are".to_owned() };
    let paused = mesh.block_on(mesh.sagas().pause_saga(request)).unwrap().into_inner();
    assert!(paused.result.unwrap().success);
    saga_id
}

/// Lets the saga go on, unless it has ended.
fn resume(mesh: &Mesh, saga_id: &str) {
    let request =
        ResumeSagaRequest { saga_id: saga_id.to_owned(), reason: "all are there".to_owned() };
    if let Err(ended) = mesh.block_on(mesh.sagas().resume_saga(request)) {
        assert_eq!(ended.code(), Code::FailedPrecondition, "{ended:?}");
        assert!(ended.message().starts_with("the saga has ended"), "{ended:?}");
    }
}

/// Watches a saga until an event is `enough`, or it has ended; gives where it stands then.
fn watch(mesh: &Mesh, saga_id: &str, enough: impl Fn(&Event) -> bool) -> SagaState {
    let mut sagas = mesh.sagas();
    mesh.block_on(async {
        let request = WatchSagaRequest { saga_id: saga_id.to_owned(), after_seq: 0 };
        let mut events = sagas.watch_saga(request).await.unwrap().into_inner();
        while let Some(response) = events.message().await.unwrap() {
            if response.event.as_ref().is_some_and(&enough) {
                break;
            }
        }
        let request = GetSagaRequest { saga_id: saga_id.to_owned(), include_payloads: false };
        sagas.get_saga(request).await.unwrap().into_inner().saga.unwrap().state()
    })
}

#[test]
fn a_death_meanwhile_changes_nothing_about_a_fault_of_a_cancel() {
    let mesh = wiring().start();
    placed(&mesh, 1);
    let start = cancel(&mesh, 0);
    mesh.crash_at(None);
    let definition = mesh.definition("cancel-order");
    mesh.play_together(&definition, vec![Cell::default()], |_| start.clone()).assert_right();
    let cells = with_deaths(cells(&mesh), mesh.appends());
    let report = on_several_meshes(&cells, deaths);
    println!("cancel-order, one fault and a death: {report}");
    assert!(report.count(|outcome| outcome.died) * 2 > report.outcomes.len());
}

fn deaths(cells: &[Cell]) -> Report {
    let mut mesh = wiring().start();
    placed(&mesh, cells.len());
    let starts: Vec<Start> = (0..cells.len()).map(|number| cancel(&mesh, number)).collect();
    let definition = mesh.definition("cancel-order");
    let play = |(number, cell): (usize, &Cell)| {
        mesh.play(&definition, number, cell.clone(), &starts[number])
    };
    let report = Report { outcomes: cells.iter().enumerate().map(play).collect() };
    check(&mesh, &report);
    report
}
