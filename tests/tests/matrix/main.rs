//! The fault matrix: every fault at every step, in both directions, with a death of the mesh at every append.
//!
//! The short form plays all faults, all deaths of a saga without other faults, and an evenly spread share of the pairs of
//! faults and of faults with deaths; it prints how many of how many. `cargo xtask matrix` plays everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attention;
mod cancel_order;
mod diamond;
mod own_words;
mod place_order;
mod shop;

use kit::{Cell, CrashPoint, Report, Side};

/// Every cell with a death before and after each append of a saga that makes so many; in the short form an evenly spread
/// share of them, each fault in it.
fn with_deaths(cells: Vec<Cell>, appends: u64) -> Vec<Cell> {
    let sides = [Side::Before, Side::After];
    let points: Vec<CrashPoint> =
        (1..=appends).flat_map(|append| sides.map(|side| CrashPoint { append, side })).collect();
    let die = |cell: &Cell, crash| Cell { crash: Some(crash), ..cell.clone() };
    let all = cells.len() * points.len();
    if everything() {
        println!("with a death: all {all} cells");
        return cells
            .iter()
            .flat_map(|cell| points.iter().map(|point| die(cell, *point)))
            .collect();
    }
    println!("with a death: {} of {all} cells", cells.len());
    cells
        .iter()
        .enumerate()
        .map(|(number, cell)| die(cell, points[spread(number, points.len())]))
        .collect()
}

/// Plays cells on several meshes at once, for deaths come one after the other and are mostly waiting. `play` is given the
/// cells of one mesh.
fn on_several_meshes(cells: &[Cell], play: impl Fn(&[Cell]) -> Report + Sync) -> Report {
    const MESHES: usize = 3;
    let play = &play;
    std::thread::scope(|scope| {
        let parts = cells.chunks(cells.len().div_ceil(MESHES));
        let playing: Vec<_> = parts.map(|part| scope.spawn(move || play(part))).collect();
        let reports = playing.into_iter().map(|playing| playing.join().unwrap());
        Report { outcomes: reports.flat_map(|report| report.outcomes).collect() }
    })
}

/// A place for each number: so many numbers in a row visit every place once, and the next round starts one place on, so
/// that a fault that comes round as often as the places do meets another one.
fn spread(number: usize, places: usize) -> usize {
    (number + number / places) % places
}

/// Numbers in an order that has nothing to do with their own, the same in every run (splitmix64).
fn scatter(number: usize) -> u64 {
    let mut mixed = (number as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn a_share_of_the_cells_dies_at_every_append() {
    for places in 1..60 {
        let mut visits = vec![0; places];
        (0..places * 5).for_each(|number| visits[spread(number, places)] += 1);
        assert_eq!(visits, vec![5; places]);
    }
}

#[expect(clippy::disallowed_methods, reason = "the long form is asked for from outside")]
fn everything() -> bool {
    std::env::var("SAGAMESH_MATRIX").is_ok_and(|wanted| wanted == "all")
}
