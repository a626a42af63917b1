//! A wider saga under every fault: two branches side by side, one of them of two steps, a branch that is skipped, the
//! pivot where they meet, and two steps side by side behind it.

use kit::{Cell, CrashPoint, Fault, Mesh, Report, Side, Start, cell::every_fault};
use saga::Status;

use crate::{
    on_several_meshes,
    shop::{BEFORE_ANY_SAGA, Balances, balances, check_books, furnish, sku, user, wiring},
    with_deaths,
};

pub(crate) const DEFINITION: (&str, &str) = ("diamond.yaml", include_str!("diamond.yaml"));
/// What the saga leaves that succeeds: one unit and two, seven points, eleven cents.
pub(crate) const AFTER_SUCCESS: Balances = Balances {
    available: BEFORE_ANY_SAGA.available - 3,
    sold: 3,
    points: BEFORE_ANY_SAGA.points - 7,
    money: BEFORE_ANY_SAGA.money - 11,
    ..BEFORE_ANY_SAGA
};

/// The same with the branch that is left out otherwise: a hundred points more.
const AFTER_SUCCESS_WITH_RARE: Balances =
    Balances { points: AFTER_SUCCESS.points - 100, ..AFTER_SUCCESS };

pub(crate) fn start(number: usize) -> Start {
    start_with(number, false)
}

fn start_with(number: usize, rare: bool) -> Start {
    let (user, sku) = (user(number), sku(number));
    Start {
        definition: "diamond".to_owned(),
        key: format!("d-{number}"),
        input_json: format!(r#"{{"user_id": "{user}", "sku": "{sku}", "rare": {rare}}}"#),
    }
}

fn cells(mesh: &Mesh) -> Vec<Cell> {
    let mut cells = every_fault(mesh.definition("diamond").engine());
    // The step is skipped by its condition, so no fault can be injected into it.
    cells.retain(|cell| cell.faults[0].step != "rare");
    cells
}

pub(crate) fn check(mesh: &Mesh, report: &Report, taken: Balances) {
    report.assert_right();
    for outcome in &report.outcomes {
        let wanted = match outcome.last {
            Status::Succeeded => taken,
            _ => BEFORE_ANY_SAGA,
        };
        assert_eq!(balances(mesh, outcome.number), wanted, "{}", outcome.cell);
    }
    check_books(mesh);
}

#[test]
fn every_fault_at_every_step_of_a_diamond_leaves_all_or_nothing() {
    let mesh = wiring().file(DEFINITION.0, DEFINITION.1).start();
    let cells = cells(&mesh);
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&mesh.definition("diamond"), cells.clone(), start);
    println!("diamond, one fault: {report}");
    check(&mesh, &report, AFTER_SUCCESS);
    for status in [Status::Succeeded, Status::Compensated, Status::Attention] {
        let definition = mesh.definition("diamond");
        let implied = |cell: &&Cell| cell.allowed(definition.engine()) == [status];
        let found = report.count(|outcome| outcome.first == status);
        assert_eq!(found, cells.iter().filter(implied).count(), "{}", status.as_str());
    }
    let late = cells.iter().filter(|cell| cell.faults[0].fault == Fault::LateDelivery).count();
    assert_eq!(report.count(|outcome| outcome.seen.superseded > 0), late, "tombstones met");
}

#[test]
fn every_fault_where_every_branch_runs_leaves_all_or_nothing() {
    let mesh = wiring().file(DEFINITION.0, DEFINITION.1).start();
    let definition = mesh.definition("diamond");
    let cells = every_fault(definition.engine());
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&definition, cells, |number| start_with(number, true));
    println!("diamond with every branch, one fault: {report}");
    check(&mesh, &report, AFTER_SUCCESS_WITH_RARE);
}

#[test]
fn a_death_meanwhile_changes_nothing_about_a_fault_of_a_diamond() {
    let mesh = wiring().file(DEFINITION.0, DEFINITION.1).start();
    let definition = mesh.definition("diamond");
    let mut cells = cells(&mesh);
    let spare = cells.len() * 100;
    furnish(&mesh, [spare]);
    mesh.crash_at(None);
    mesh.play_together(&definition, vec![Cell::default()], |_| start(spare)).assert_right();
    let appends = mesh.appends();
    cells = with_deaths(cells, appends);
    for append in 1..=appends {
        for side in [Side::Before, Side::After] {
            cells.push(Cell { faults: Vec::new(), crash: Some(CrashPoint { append, side }) });
        }
    }
    let report = on_several_meshes(&cells, deaths);
    println!("diamond, one fault and a death: {report}");
    assert!(report.count(|outcome| outcome.died) * 2 > report.outcomes.len());
}

fn deaths(cells: &[Cell]) -> Report {
    let mut mesh = wiring().file(DEFINITION.0, DEFINITION.1).start();
    let definition = mesh.definition("diamond");
    furnish(&mesh, 0..cells.len());
    let play = |(number, cell): (usize, &Cell)| {
        mesh.play(&definition, number, cell.clone(), &start(number))
    };
    let report = Report { outcomes: cells.iter().enumerate().map(play).collect() };
    check(&mesh, &report, AFTER_SUCCESS);
    report
}
