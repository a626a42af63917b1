//! Definitions, answers, orders and delays.

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use saga::{Attempts, Definition, Retry, Step};

use crate::case::{Case, Order, Reply};

fn retries() -> impl Strategy<Value = Retry> {
    // None of a policy's attempts: as many as it takes.
    (0_u32..4, 1_u64..50, proptest::option::of(50_u64..2_000)).prop_map(|(attempts, base, age)| {
        Retry {
            attempts: NonZeroU32::new(attempts).map_or(Attempts::Unlimited, Attempts::Limited),
            base: Duration::from_millis(base),
            cap: Duration::from_millis(base * 4),
            age_limit: age.map(Duration::from_millis),
        }
    })
}

/// Steps in some order; the pivot, where there is one, with everything before it or behind it.
fn definitions() -> impl Strategy<Value = Definition> {
    let step = (any::<u16>(), any::<bool>(), proptest::bool::weighted(0.25), retries(), retries());
    (proptest::collection::vec(step, 1..8), proptest::option::of(0_usize..8), 20_u64..3_000)
        .prop_map(|(drafts, pivot, deadline)| {
            let pivot = pivot.filter(|pivot| *pivot < drafts.len());
            let steps = drafts.into_iter().enumerate().map(
                |(index, (edges, undo, conditional, retry, undo_retry))| {
                    let before = match pivot {
                        // The pivot comes after all above it; all below it come after the pivot.
                        Some(pivot) if index == pivot => (0..index).collect::<Vec<_>>(),
                        Some(pivot) if index > pivot => std::iter::once(pivot)
                            .chain((pivot + 1..index).filter(|at| edges >> at & 1 == 1))
                            .collect(),
                        _ => (0..index).filter(|at| edges >> at & 1 == 1).collect(),
                    };
                    Step {
                        name: format!("s{index}"),
                        after: Some(before.iter().map(|at| format!("s{at}")).collect()),
                        pivot: pivot == Some(index),
                        undo: undo && pivot.is_none_or(|pivot| index <= pivot),
                        conditional,
                        timeout: Duration::from_secs(1),
                        retry,
                        undo_retry,
                    }
                },
            );
            Definition::new(steps.collect(), Duration::from_millis(deadline))
                .expect("generated definitions are sound")
        })
}

fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        12 => Just(Reply::Done),
        2 => Just(Reply::Declined),
        3 => any::<bool>().prop_map(|landed| Reply::Unknown { landed }),
        1 => (1_u64..300).prop_map(|wait_ms| Reply::PushedBack { wait_ms }),
        2 => Just(Reply::NotSent),
        1 => Just(Reply::Unusable),
    ]
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Pause),
        Just(Order::Resume),
        Just(Order::Retry),
        Just(Order::Cancel),
        (0_u16..8).prop_map(Order::Skip),
        Just(Order::Resolve),
        Just(Order::Crash),
    ]
}

pub(crate) fn cases() -> impl Strategy<Value = Case> {
    (
        definitions(),
        proptest::collection::vec((replies(), 0_u64..120), 40),
        proptest::collection::vec((0_u64..1_500, orders()), 0..4),
        any::<u16>(),
        any::<u16>(),
    )
        .prop_map(|(definition, replies, mut orders, conditions, cut)| {
            orders.sort_by_key(|(at, _)| *at);
            Case { definition, replies, orders, conditions, cut }
        })
}
