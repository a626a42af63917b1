//! What the facade measures: calls in and out, who is refused, connections, bytes that are held, readiness, and the process
//! itself.
//!
//! What is counted for each call has its handles from when the method is mounted or first called. What is known anyway is read
//! when it is scraped.

mod budget;
mod calls;
mod connections;
mod inbox;
mod process;
mod roles;
mod runtime;

use metrics::Registry;

pub(crate) use self::{
    budget::measure_budget,
    calls::{CallMeasures, MethodSeries, OutgoingMeasures},
    connections::{ClosedBy, ConnectionMeasures, RefusedBy},
    inbox::{DeliveryMeasures, InboxMeasures},
    process::measure_process,
    roles::{measure_calls_in_flight, measure_readiness},
    runtime::measure_runtime,
};

/// Asks for every family of the facade, so that the catalogue has them.
pub(crate) fn declare(metrics: &Registry) {
    store::measures::declare(metrics);
    let _ =
        (CallMeasures::new(metrics), OutgoingMeasures::new(metrics), InboxMeasures::new(metrics));
    budget::declare(metrics);
    connections::declare(metrics);
    process::declare(metrics);
    roles::declare(metrics);
    runtime::declare(metrics);
}
