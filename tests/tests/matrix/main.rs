//! The fault matrix: every fault at every step, in both directions, with a death of the mesh at every append.
//!
//! The short form plays all faults, all pairs of faults, all deaths of a saga without other faults, and an evenly spread
//! share of faults with deaths. `SAGAMESH_MATRIX=all` plays everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cancel_order;
mod diamond;
mod place_order;
mod shop;

use testkit::{Cell, CrashPoint, Side};

/// Every cell with a death before and after each append of a saga that makes so many; in the short form an evenly spread
/// share of them, each fault in it.
fn with_deaths(cells: Vec<Cell>, appends: u64) -> Vec<Cell> {
    let sides = [Side::Before, Side::After];
    let points: Vec<CrashPoint> =
        (1..=appends).flat_map(|append| sides.map(|side| CrashPoint { append, side })).collect();
    let die = |cell: &Cell, crash| Cell { crash: Some(crash), ..cell.clone() };
    if everything() {
        return cells
            .iter()
            .flat_map(|cell| points.iter().map(|point| die(cell, *point)))
            .collect();
    }
    // A prime stride visits every point equally often, and neighbouring faults at different points.
    let stride = 7;
    cells
        .iter()
        .enumerate()
        .map(|(number, cell)| die(cell, points[number * stride % points.len()]))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for from outside")]
fn everything() -> bool {
    std::env::var("SAGAMESH_MATRIX").is_ok_and(|wanted| wanted == "all")
}
