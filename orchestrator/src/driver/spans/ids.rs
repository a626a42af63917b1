//! The ids of a saga's spans, as a function of its journal: nothing is kept for them on disk, and a node that takes the
//! saga up knows the ids of every span that the node before gave.
//!
//! They must never be worked out otherwise: journals of before are read by programs of later.

use saga::{Direction, StepId};

/// How many bits the sequence number of a record has here. The journal gives it fewer.
const SEQ_BITS: u32 = 40;
const STEP_BITS: u32 = 16;

/// Gives the ids of one saga. Two spans of it never have the same id, and none has the id 0, which is no id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanIds {
    seed: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Start = 1,
    Slice,
    Call,
    Undo,
    Summary,
    TraceHigh,
    TraceLow,
}

impl SpanIds {
    pub(crate) fn of(saga_id: &str) -> Self {
        let seed = saga_id.as_bytes().chunks(8).fold(0, |seed, chunk| {
            let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            mix(seed ^ word).wrapping_add(1)
        });
        Self { seed }
    }

    /// Of `saga.start`.
    pub(crate) fn start(self) -> u64 {
        self.id(Kind::Start, StepId(0), 0)
    }

    /// Of the slice whose first record is, or would have been, this one.
    pub(crate) fn slice(self, first: u64) -> u64 {
        self.id(Kind::Slice, StepId(0), first)
    }

    /// Of the attempt that follows this record.
    pub(crate) fn attempt(self, step: StepId, direction: Direction, follows: u64) -> u64 {
        let kind = match direction {
            Direction::Forward => Kind::Call,
            Direction::Undo => Kind::Undo,
        };
        self.id(kind, step, follows)
    }

    /// Of `saga.summary`.
    pub(crate) fn summary(self) -> u64 {
        self.id(Kind::Summary, StepId(0), 0)
    }

    /// Of the trace that the slice with this first record begins.
    pub(crate) fn trace(self, first: u64) -> u128 {
        let half = |kind| u128::from(self.id(kind, StepId(0), first));
        half(Kind::TraceHigh) << 64 | half(Kind::TraceLow)
    }

    /// Each span of a saga has a place of its own, which has the highest bit clear. The seed has it set, so their sum is never
    /// 0, and [`mix`] makes another number of each.
    fn id(self, kind: Kind, step: StepId, seq: u64) -> u64 {
        let seq = seq & ((1 << SEQ_BITS) - 1);
        let place = (kind as u64) << (SEQ_BITS + STEP_BITS) | u64::from(step.0) << SEQ_BITS | seq;
        mix((self.seed | 1 << 63) ^ place)
    }
}

/// The finalizer of `SplitMix64`: one to one, and 0 alone becomes 0.
fn mix(mut word: u64) -> u64 {
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every id of a saga with so many steps and records.
    fn all(ids: SpanIds, steps: u16, records: u64) -> Vec<u64> {
        let mut all = vec![ids.start(), ids.summary()];
        for seq in 0..records {
            all.push(ids.slice(seq));
            let trace = ids.trace(seq);
            all.extend([(trace >> 64) as u64, trace as u64]);
            for step in (0..steps).map(StepId) {
                all.push(ids.attempt(step, Direction::Forward, seq));
                all.push(ids.attempt(step, Direction::Undo, seq));
            }
        }
        all
    }

    #[test]
    fn no_two_spans_have_one_id_in_a_saga_or_in_a_thousand_and_none_is_0() {
        let mut seen = HashSet::new();
        for saga in 0..1_000_u64 {
            // As ids of one millisecond are: alike but for their ends.
            let ids = SpanIds::of(&format!("01a2205b-70a4-7369-9f14-{saga:012x}"));
            for id in all(ids, 8, 20) {
                assert_ne!(id, 0);
                assert!(seen.insert(id), "{id:016x} twice");
            }
        }
        for ids in ["", "k", "01a2205b-70a4-7369-9f14-000000000000"].map(SpanIds::of) {
            let of_a_long_one =
                [ids.slice(1 << 20), ids.attempt(StepId(u16::MAX), Direction::Undo, 1 << 20)];
            assert_ne!(of_a_long_one[0], of_a_long_one[1]);
            assert!(!of_a_long_one.contains(&0));
        }
    }

    #[test]
    fn each_bit_of_an_id_is_set_in_half_of_them() {
        let ids = (0..4_096).map(|saga| SpanIds::of(&saga.to_string()).slice(3));
        let ids: Vec<u64> = ids.collect();
        for bit in 0..64 {
            let set = ids.iter().filter(|id| *id >> bit & 1 == 1).count();
            assert!((1_800..2_300).contains(&set), "bit {bit} is set in {set} of 4096");
        }
    }

    #[test]
    fn the_ids_of_a_journal_stay_what_they_were() {
        let ids = SpanIds::of("01a2205b-70a4-7369-9f14-501076fe2d60");
        let forward = ids.attempt(StepId(1), Direction::Forward, 2);
        let undo = ids.attempt(StepId(1), Direction::Undo, 2);
        let known = [ids.start(), ids.slice(0), forward, undo, ids.summary()];
        let known = known.map(|id| format!("{id:016x}"));
        assert_eq!(
            known,
            [
                "48dd07b8450845b9",
                "0031faf53f40afcd",
                "25b4a22a29e9fc66",
                "204b4e3a7cefa834",
                "0d3692da1ed9bbda"
            ]
        );
        assert_eq!(format!("{:032x}", ids.trace(7)), "09762bfee4a4d13f11c79eaad7aa360b");
    }
}
