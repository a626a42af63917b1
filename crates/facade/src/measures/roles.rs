//! The roles of a process: whether they can take work, and how much they have.

use std::sync::Arc;

use metrics::{ReadCounters, ReadGauges, Registry};

use crate::{layers::InFlight, readiness::Readiness};

struct Families {
    ready: ReadGauges<1>,
    part_ready: ReadGauges<2>,
    in_flight: ReadGauges<1>,
    limit: ReadGauges<1>,
    shed: ReadCounters<1>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            ready: metrics.read_gauges(
                "sagamesh_ready",
                "1 while the role can take work",
                ["role"],
            ),
            part_ready: metrics.read_gauges(
                "sagamesh_part_ready",
                "1 while this part of the role does what the role needs it for",
                ["role", "part"],
            ),
            in_flight: metrics.read_gauges(
                "sagamesh_calls_in_flight",
                "Calls that are not answered yet",
                ["role"],
            ),
            limit: metrics.read_gauges(
                "sagamesh_calls_in_flight_limit",
                "How many calls may be in flight: limits.max_calls; not there where there is no limit",
                ["role"],
            ),
            shed: metrics.read_counters(
                "sagamesh_calls_shed_total",
                "Calls that were refused because as many were in flight as may be",
                ["role"],
            ),
        }
    }
}

pub(super) fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// Measures whether a role and its parts are ready.
pub(crate) fn measure_readiness(metrics: &Registry, role: &'static str, readiness: &Readiness) {
    let Families { ready, part_ready, .. } = Families::of(metrics);
    let (of_role, of_parts) = (readiness.clone(), readiness.clone());
    ready.read(move |readings| {
        readings.add([role], f64::from(u8::from(of_role.missing().is_empty())));
    });
    part_ready.read(move |readings| {
        for (part, is_ready) in of_parts.parts() {
            readings.add([role, part], f64::from(u8::from(is_ready)));
        }
    });
}

/// Measures the calls that a role has in flight.
pub(crate) fn measure_calls_in_flight(
    metrics: &Registry,
    role: &'static str,
    calls: &Arc<InFlight>,
) {
    let Families { in_flight, limit, shed, .. } = Families::of(metrics);
    let (of_in_flight, of_shed) = (Arc::clone(calls), Arc::clone(calls));
    in_flight.read(move |readings| readings.add([role], of_in_flight.now() as f64));
    if let Some(calls) = calls.limit() {
        limit.read(move |readings| readings.add([role], calls as f64));
    }
    shed.read(move |readings| readings.add([role], of_shed.shed() as f64));
}
