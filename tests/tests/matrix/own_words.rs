//! What a definition itself says of answers: a response that it takes for a decline, and a lookup before an undo.

use kit::{Cell, CellOutcome, Fault, Mesh, Planned, Report, Times, Wiring, cell::every_fault};
use saga::Status;

use crate::{
    diamond::{self, check, start},
    on_several_meshes,
    shop::{furnish, wiring},
    with_deaths,
};

/// The step whose call a response declines, and the one whose undo asks first.
const DECLINED: &str = "left_again";
const LOOKED_UP: &str = "charge";

fn own_words() -> Wiring {
    let (name, source) = diamond::DEFINITION;
    let call = "  - step: left_again\n";
    let declined_if = "    declined_if: left_again.result.code == 'SCRIPTED_DECLINE'\n";
    let plain = "    undo_with: { order_no: saga.key, reason: saga.reason }";
    let lookup = "    undo_with:
      when_known: { order_no: saga.key, reason: saga.reason }
      when_unknown:
        lookup:
          call: sagamesh.payment.v1.PaymentService/ListPayments
          with: { user_id: request.user_id }
          found: lookup.payments.size() > 0
        with: { order_no: saga.key, reason: saga.reason }";
    assert_eq!((source.matches(call).count(), source.matches(plain).count()), (1, 1));
    let source = source.replace(call, &format!("{call}{declined_if}")).replace(plain, lookup);
    wiring().file(name, &source)
}

fn cells(mesh: &Mesh) -> Vec<Cell> {
    let declined = Planned::call(DECLINED, Fault::DeclinedIf, Times::Once);
    let before = [None, Some(Fault::TimeOutAfter), Some(Fault::PushBack)];
    let mut cells: Vec<Cell> = before
        .into_iter()
        .map(|before| {
            let before = before.map(|fault| Planned::call(DECLINED, fault, Times::Once));
            Cell { faults: before.into_iter().chain([declined.clone()]).collect(), crash: None }
        })
        .collect();
    // What a lookup does not find is not undone, and nothing stops a call that comes after that.
    let is_looked_up = |cell: &Cell| {
        let Planned { step, fault, .. } = &cell.faults[0];
        step == LOOKED_UP && *fault != Fault::LateDelivery
    };
    let all = every_fault(mesh.definition("diamond").engine());
    cells.extend(all.into_iter().filter(is_looked_up));
    cells
}

#[test]
fn every_fault_of_a_step_that_is_looked_up_or_declined_in_its_own_words_leaves_all_or_nothing() {
    let mesh = own_words().start();
    let cells = cells(&mesh);
    furnish(&mesh, 0..cells.len());
    let report = mesh.play_together(&mesh.definition("diamond"), cells, start);
    println!("diamond in its own words: {report}");
    check(&mesh, &report, diamond::AFTER_SUCCESS);
    let declined = |outcome: &CellOutcome| outcome.cell.faults[0].step == DECLINED;
    assert_eq!(
        report.count(|outcome| declined(outcome) && outcome.first == Status::Compensated),
        3
    );
}

#[test]
fn a_death_meanwhile_changes_nothing_about_a_lookup_or_a_decline_in_its_own_words() {
    let mesh = own_words().start();
    let cells = cells(&mesh);
    let spare = cells.len() * 100;
    furnish(&mesh, [spare]);
    mesh.crash_at(None);
    let longest = Cell {
        faults: vec![Planned::call(LOOKED_UP, Fault::TimeOutAfter, Times::Always)],
        crash: None,
    };
    let definition = mesh.definition("diamond");
    mesh.play_together(&definition, vec![longest], |_| start(spare)).assert_right();
    let cells = with_deaths(cells, mesh.appends());
    let report = on_several_meshes(&cells, |cells| {
        let mut mesh = own_words().start();
        let definition = mesh.definition("diamond");
        furnish(&mesh, 0..cells.len());
        let play = |(number, cell): (usize, &Cell)| {
            mesh.play(&definition, number, cell.clone(), &start(number))
        };
        let report = Report { outcomes: cells.iter().enumerate().map(play).collect() };
        check(&mesh, &report, diamond::AFTER_SUCCESS);
        report
    });
    println!("diamond in its own words, one fault and a death: {report}");
    assert!(report.count(|outcome| outcome.died) * 2 > report.outcomes.len());
}
