//! What makes a run repeatable, and how long it is.

#![expect(
    clippy::disallowed_methods,
    reason = "the only settings of a test binary are its environment"
)]

use rand::{SeedableRng, rngs::StdRng};

/// Chance that a failure can be replayed with: the seed is printed, and `SAGAMESH_SEED` sets it.
pub(crate) fn rng(test: &str) -> StdRng {
    let seed = number("SAGAMESH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{test}: SAGAMESH_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// `short` in the short form; more of it where `SAGAMESH_TIMES` says so.
pub(crate) fn times(short: usize) -> usize {
    short * usize::try_from(number("SAGAMESH_TIMES").unwrap_or(1)).unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
