//! Damage to texts and bytes.

use std::time::Duration;

use clock::Clock;
use proptest::prelude::*;

/// Cases of each property.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One change: where, in 65536ths of the length; how much is taken; what is put there, how often.
#[derive(Clone, Debug)]
pub struct Change<T> {
    at: u16,
    taken: usize,
    put: T,
    times: usize,
}

/// Two changes at most that put what `put` gives.
pub fn changes<T: std::fmt::Debug>(
    put: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<Change<T>>> {
    let times = prop_oneof![6 => Just(1_usize), 2 => 0_usize..4, 1 => Just(300)];
    let taken = prop_oneof![4 => Just(0_usize), 4 => 0_usize..12, 1 => 0_usize..400];
    let change = (any::<u16>(), taken, put, times).prop_map(|(at, taken, put, times)| Change {
        at,
        taken,
        put,
        times,
    });
    proptest::collection::vec(change, 0..3)
}

impl Change<Vec<u8>> {
    /// Changes bytes.
    pub fn to_bytes(&self, bytes: &mut Vec<u8>) {
        let (from, to) = self.range(bytes.len());
        bytes.splice(from..to, self.put.repeat(self.times));
    }
}

impl Change<String> {
    /// Changes a text.
    ///
    /// # Panics
    /// Never: each text ends at a boundary.
    pub fn to_text(&self, text: &mut String) {
        let (from, to) = self.range(text.len());
        let boundary = |at| (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
        let (from, to) = (boundary(from), boundary(to));
        text.replace_range(from..to, &self.put.repeat(self.times));
    }
}

impl<T> Change<T> {
    fn range(&self, length: usize) -> (usize, usize) {
        let from = length * usize::from(self.at) / 65_536;
        (from, (from + self.taken).min(length))
    }
}

/// Runs `work`, and fails where it takes so long that it must be a hang, in a debug build on however busy a machine.
///
/// # Panics
/// Then.
pub fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let clock = Clock::system();
    let began = clock.now();
    let done = work();
    let took = clock.now().since(began);
    assert!(took < Duration::from_secs(60), "{took:?} for {what}");
    done
}
