//! `cancel-order` of a paid order under every fault.

use saga::Status;
use testkit::{Cell, Fault, Mesh, Report, Start, cell::every_fault};

use crate::{
    place_order::{BOUGHT, order},
    shop::{UNTOUCHED, check_books, furnish, order_no, standing, user, wiring},
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
            Status::Succeeded => UNTOUCHED,
            _ => BOUGHT,
        };
        assert_eq!(standing(mesh, outcome.number), wanted, "{}", outcome.cell);
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
fn a_death_meanwhile_changes_nothing_about_a_fault_of_a_cancel() {
    let mut mesh = wiring().start();
    let cells = cells(&mesh);
    placed(&mesh, cells.len() + 1);
    let starts: Vec<Start> = (0..=cells.len()).map(|number| cancel(&mesh, number)).collect();
    let definition = mesh.definition("cancel-order");
    mesh.crash_at(None);
    let spare = starts.last().unwrap().clone();
    mesh.play_together(&definition, vec![Cell::default()], |_| spare.clone()).assert_right();
    let cells = with_deaths(cells, mesh.appends());
    let play = |(number, cell): (usize, Cell)| {
        mesh.play(&definition, number, cell, &starts[number % starts.len()])
    };
    let report = Report { outcomes: cells.into_iter().enumerate().map(play).collect() };
    println!("cancel-order, one fault and a death: {report}");
    assert!(report.count(|outcome| outcome.died) * 2 > report.outcomes.len());
    check(&mesh, &report);
}
