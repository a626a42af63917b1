//! The families of what happens to sagas.

use metrics::{
    Counter, Counters, Histogram, Histograms, Registry,
    buckets::{LONG_SECONDS, SHORT_SECONDS},
};

const OUTCOME: [&str; 2] = ["definition", "outcome"];
const METHOD: [&str; 3] = ["definition", "step", "direction"];

#[derive(Debug)]
pub(super) struct Families {
    pub(super) started: Counters<1>,
    pub(super) finished: Counters<2>,
    pub(super) duration: Histograms<2>,
    pub(super) compensations: Counters<2>,
    pub(super) compensation_duration: Histograms<2>,
    pub(super) attempts: Counters<4>,
    pub(super) attempt_duration: Histograms<3>,
    pub(super) attempt_wait: Histograms<3>,
    pub(super) failures: Counters<3>,
    pub(super) manual_actions: Counters<2>,
    pub(super) set_aside: Counters<1>,
    pub(super) recovered: Counter,
    pub(super) woken_late: Counter,
    pub(super) dispatch_lag: Histogram,
}

impl Families {
    pub(super) fn of(registry: &Registry) -> Self {
        Self {
            started: registry.counters(
                "saga_started_total",
                "Sagas that were started",
                ["definition"],
            ),
            finished: registry.counters("saga_finished_total", "Sagas that have ended", OUTCOME),
            duration: registry.histograms(
                "saga_duration_seconds",
                "How long sagas took from their start to their end",
                OUTCOME,
                LONG_SECONDS,
            ),
            compensations: registry.counters(
                "saga_compensations_total",
                "Compensations, by whether they came to their end without a person",
                OUTCOME,
            ),
            compensation_duration: registry.histograms(
                "saga_compensation_duration_seconds",
                "How long compensations took from the turn back to their end, or until they needed a person",
                OUTCOME,
                LONG_SECONDS,
            ),
            attempts: registry.counters(
                "saga_step_attempts_total",
                "Attempts of steps, by what they came to",
                ["definition", "step", "direction", "result"],
            ),
            attempt_duration: registry.histograms(
                "saga_step_duration_seconds",
                "How long attempts took from when they were sent to their answers",
                METHOD,
                SHORT_SECONDS,
            ),
            attempt_wait: registry.histograms(
                "saga_step_wait_seconds",
                "How long attempts waited for their turn and a stream until they were sent or given up",
                METHOD,
                LONG_SECONDS,
            ),
            failures: registry.counters(
                "saga_failures_total",
                "Turns back and needs of a person, by step and reason",
                ["definition", "step", "reason"],
            ),
            manual_actions: registry.counters(
                "saga_manual_actions_total",
                "Operators' orders, by what they came to",
                ["action", "result"],
            ),
            set_aside: registry.counters(
                "sagamesh_sagas_set_aside_total",
                "Sagas that were set aside since they could not be read or run",
                ["reason"],
            ),
            recovered: registry
                .counters(
                    "saga_recovered_total",
                    "Sagas that were taken up which a stopped process or a failed append had left",
                    [],
                )
                .with([]),
            woken_late: registry
                .counters(
                    "sagamesh_sagas_woken_late_total",
                    "Sagas that slept and were taken up at an instant that their wait does not explain",
                    [],
                )
                .with([]),
            dispatch_lag: registry
                .histograms(
                    "saga_dispatch_lag_seconds",
                    "How long after it was due a saga that waited went on",
                    [],
                    SHORT_SECONDS,
                )
                .with([]),
        }
    }
}
