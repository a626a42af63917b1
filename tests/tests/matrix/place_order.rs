//! `place-order` under every fault.

use kit::{
    Cell, CellOutcome, CrashPoint, Fault, Mesh, Planned, Report, Side, Start, Times,
    cell::{every_call_not_sent, every_fault, every_second_fault},
};
use saga::{Definition, Direction, Status};

use crate::{
    everything, on_several_meshes, scatter,
    shop::{BEFORE_ANY_SAGA, Balances, PRICE, balances, check_books, furnish, sku, user, wiring},
    with_deaths,
};

/// The first number beyond those of the cells that are played for their own sake.
const SPARE: usize = 1_000_000;
/// About so many pairs are played in the short form.
const PAIRS: usize = 350;

const QUANTITY: i64 = 2;
const POINTS_SPENT: i64 = 5;
/// What an order leaves that was placed.
pub(crate) const AFTER_PLACING: Balances = Balances {
    available: BEFORE_ANY_SAGA.available - QUANTITY,
    sold: QUANTITY,
    points: BEFORE_ANY_SAGA.points - POINTS_SPENT,
    money: BEFORE_ANY_SAGA.money - (QUANTITY * PRICE - POINTS_SPENT),
    ..BEFORE_ANY_SAGA
};

/// The order of this number: every step of it runs.
pub(crate) fn order(number: usize) -> Start {
    let (user, sku) = (user(number), sku(number));
    Start {
        definition: "place-order".to_owned(),
        key: format!("{user}/t"),
        input_json: format!(
            r#"{{"user_id": "{user}", "submit_token": "t", "points": {POINTS_SPENT},
                "lines": [{{"sku": "{sku}", "quantity": {QUANTITY}}}]}}"#
        ),
    }
}

/// All or nothing, whatever went wrong.
fn check(mesh: &Mesh, report: &Report) {
    report.assert_right();
    for outcome in &report.outcomes {
        let wanted = match outcome.last {
            Status::Succeeded => AFTER_PLACING,
            _ => BEFORE_ANY_SAGA,
        };
        assert_eq!(balances(mesh, outcome.number), wanted, "{}", outcome.cell);
    }
    check_books(mesh);
}

#[test]
fn every_fault_at_every_step_leaves_all_or_nothing() {
    let mesh = wiring().start();
    let definition = mesh.definition("place-order");
    let cells = every_fault(definition.engine());
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&definition, cells.clone(), order);
    println!("place-order, one fault: {report}");
    check(&mesh, &report);
    for status in [Status::Succeeded, Status::Compensated, Status::Attention] {
        let implied = |cell: &&Cell| cell.allowed(definition.engine()) == [status];
        assert_eq!(
            report.count(|outcome| outcome.first == status),
            cells.iter().filter(implied).count(),
            "{}",
            status.as_str()
        );
    }
    check_repeats(definition.engine(), &report);
}

#[test]
fn what_is_never_sent_leaves_nothing_to_undo_of_its_step() {
    let mesh = wiring().over_the_network().start();
    let definition = mesh.definition("place-order");
    let cells = every_call_not_sent(definition.engine());
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&definition, cells, order);
    println!("place-order, calls that are not sent: {report}");
    check(&mesh, &report);
    for CellOutcome { cell, seen, .. } in &report.outcomes {
        let Planned { step, fault, times, .. } = &cell.faults[0];
        if (*fault, *times) == (Fault::NotSent, Times::Always) {
            assert!(!seen.called.contains(&(step.clone(), Direction::Undo)), "{cell} was undone");
        }
    }
}

/// Where the definition implies that a call comes again, its first answer was given again; where it implies that a call
/// comes after its undo, it met the tombstone, and nowhere else did one.
fn check_repeats(definition: &Definition, report: &Report) {
    for CellOutcome { cell, seen, .. } in &report.outcomes {
        let certain = cell.certain(definition);
        let late = |planned: &Planned| planned.fault == Fault::LateDelivery;
        let must = certain.iter().any(|planned| late(planned));
        let may = cell.faults.iter().any(late);
        assert!(seen.superseded > 0 || !must, "{cell}: its late call met no tombstone");
        assert!(seen.superseded == 0 || may, "{cell}: {} met a tombstone", seen.superseded);
        let again = certain.into_iter().any(asked_again);
        assert!(seen.replayed > 0 || !again, "{cell}: an answer that was lost was not given again");
    }
}

/// Whether the call lands and is made again. Reads have no inbox, and may answer otherwise.
fn asked_again(planned: &Planned) -> bool {
    let reads = ["quote", "member"];
    planned.fault.takes_effect()
        && planned.fault != Fault::Slow
        && !reads.contains(&planned.step.as_str())
}

#[test]
fn faults_of_two_steps_of_one_order_leave_all_or_nothing() {
    let mesh = wiring().start();
    let definition = mesh.definition("place-order");
    let cells = drawn("faults of two steps", pairs(&every_fault(definition.engine())));
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&definition, cells, order);
    println!("place-order, faults of two steps: {report}");
    check(&mesh, &report);
    check_repeats(definition.engine(), &report);
}

#[test]
fn two_faults_of_one_call_one_after_the_other_leave_all_or_nothing() {
    let mesh = wiring().start();
    let definition = mesh.definition("place-order");
    let cells =
        drawn("two faults of one call", every_second_fault(&every_fault(definition.engine())));
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&definition, cells, order);
    println!("place-order, two faults of one call: {report}");
    check(&mesh, &report);
}

/// Pairs of faults of two steps.
fn pairs(cells: &[Cell]) -> Vec<Cell> {
    let mut all = Vec::new();
    for (number, one) in cells.iter().enumerate() {
        for other in &cells[number + 1..] {
            if one.faults[0].step != other.faults[0].step {
                let faults = one.faults.iter().chain(&other.faults).cloned().collect();
                all.push(Cell { faults, crash: None });
            }
        }
    }
    all
}

/// Cells of two faults; in the short form, a seeded share of them.
fn drawn(what: &str, cells: Vec<Cell>) -> Vec<Cell> {
    let count = cells.len();
    let share = if everything() { 1 } else { count.div_ceil(PAIRS) as u64 };
    // The pairs are drawn, since every n-th one would bring the same few faults together at every step.
    let drawn =
        cells.into_iter().enumerate().filter(|(number, _)| scatter(*number).is_multiple_of(share));
    let drawn: Vec<Cell> = drawn.map(|(_, cell)| cell).collect();
    println!("place-order, {what}: {} of {count} pairs", drawn.len());
    drawn
}

#[test]
fn a_death_at_every_append_of_an_order_loses_nothing_and_repeats_nothing() {
    let mut mesh = wiring().start();
    let decline = Planned::call("charge_payment", Fault::Decline, Times::Once);
    let plain = [Cell::default(), Cell { faults: vec![decline], crash: None }];
    let numbers = SPARE..;
    let appends: Vec<u64> =
        plain.iter().zip(numbers).map(|(cell, number)| appends(&mut mesh, number, cell)).collect();
    let mut cells = Vec::new();
    for (cell, appends) in plain.iter().zip(&appends) {
        for append in 1..=*appends {
            for side in [Side::Before, Side::After] {
                cells.push(Cell { crash: Some(CrashPoint { append, side }), ..cell.clone() });
            }
        }
    }
    let report = on_several_meshes(&cells, deaths);
    println!("place-order, a death at each append: {report}");
    // Answers of steps side by side may share an append: then there is one less.
    let fewest = appends.iter().min().unwrap() - 1;
    let early =
        |outcome: &CellOutcome| outcome.cell.crash.is_some_and(|point| point.append < fewest);
    assert_eq!(report.count(|outcome| early(outcome) && !outcome.died), 0, "deaths must happen");
}

#[test]
fn a_death_meanwhile_changes_nothing_about_a_fault() {
    let mut mesh = wiring().start();
    let definition = mesh.definition("place-order");
    let appends = appends(&mut mesh, SPARE, &Cell::default());
    let cells = with_deaths(every_fault(definition.engine()), appends);
    let report = on_several_meshes(&cells, deaths);
    println!("place-order, one fault and a death: {report}");
    // A saga that a fault ends early makes fewer appends than one that succeeds.
    assert!(report.count(|outcome| outcome.died) * 2 > report.outcomes.len());
}

/// How many appends the cell's saga makes, dying nowhere.
fn appends(mesh: &mut Mesh, number: usize, cell: &Cell) -> u64 {
    furnish(mesh, [number]);
    let definition = mesh.definition("place-order");
    mesh.crash_at(None);
    mesh.play_together(&definition, vec![cell.clone()], |_| order(number));
    mesh.appends()
}

fn deaths(cells: &[Cell]) -> Report {
    let mut mesh = wiring().start();
    let definition = mesh.definition("place-order");
    furnish(&mesh, 0..cells.len());
    let play = |(number, cell): (usize, &Cell)| {
        mesh.play(&definition, number, cell.clone(), &order(number))
    };
    let report = Report { outcomes: cells.iter().enumerate().map(play).collect() };
    check(&mesh, &report);
    report
}
