//! Bytes that are held for requests and responses.

use metrics::{ReadCounters, ReadGauges, Registry};

use crate::budget::{Budget, Purpose, Scope};

struct Families {
    held: ReadGauges<1>,
    limit: ReadGauges<1>,
    refused: ReadCounters<2>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            held: metrics.read_gauges(
                "sagamesh_budget_held_bytes",
                "Bytes of requests that are held until their calls are answered, and of responses until their callers take them",
                ["purpose"],
            ),
            limit: metrics.read_gauges(
                "sagamesh_budget_limit_bytes",
                "How many of them may be held: limits.requests.bytes and limits.responses.bytes",
                ["purpose"],
            ),
            refused: metrics.read_counters(
                "sagamesh_budget_refusals_total",
                "How often there was no room for more of them, in all or for one connection",
                ["purpose", "scope"],
            ),
        }
    }
}

pub(super) fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// Measures the budget of a process.
pub(crate) fn measure_budget(metrics: &Registry, budget: &Budget) {
    let Families { held, limit, refused } = Families::of(metrics);
    for (purpose, name) in [(Purpose::Requests, "requests"), (Purpose::Responses, "responses")] {
        let (of_held, of_limit, of_refused) = (budget.clone(), budget.clone(), budget.clone());
        held.read(move |readings| readings.add([name], of_held.held_bytes(purpose) as f64));
        limit.read(move |readings| readings.add([name], of_limit.limit_bytes(purpose) as f64));
        refused.read(move |readings| {
            for (scope, told) in [(Scope::Process, "process"), (Scope::Connection, "connection")] {
                readings.add([name, told], of_refused.refusals(purpose, scope) as f64);
            }
        });
    }
}
