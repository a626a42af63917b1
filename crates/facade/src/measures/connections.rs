//! The connections of a listener.

use metrics::{Counter, Counters, Gauge, Gauges, Registry};

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedBy {
    /// There are as many as may be.
    All,
    /// Its address has as many as one may have.
    Address,
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    /// As its peer, or the end of the process, wanted it.
    Ended,
    /// It said nothing in time, or made room for another before it did.
    Silence,
    /// It took nothing of what waited for it.
    Stall,
    /// It broke, or broke the protocol.
    Error,
}

struct Families {
    open: Gauges<1>,
    refused: Counters<2>,
    closed: Counters<2>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            open: metrics.gauges(
                "sagamesh_connections_open",
                "Connections that are open",
                ["listener"],
            ),
            refused: metrics.counters(
                "sagamesh_connections_refused_total",
                "Connections that were closed at once: limits.connections.max or max_per_address",
                ["listener", "cause"],
            ),
            closed: metrics.counters(
                "sagamesh_connections_closed_total",
                "Connections that ended: well, for their silence at first, because they took nothing, or by an error",
                ["listener", "cause"],
            ),
        }
    }
}

pub(super) fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// What is measured of one listener's connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionMeasures {
    open: Gauge,
    refused: [Counter; 2],
    closed: [Counter; 4],
}

impl ConnectionMeasures {
    pub(crate) fn of(metrics: &Registry, listener: &str) -> Self {
        let Families { open, refused, closed } = Families::of(metrics);
        Self {
            open: open.with([listener]),
            refused: ["max", "max_per_address"].map(|cause| refused.with([listener, cause])),
            closed: ["ended", "silence", "stall", "error"]
                .map(|cause| closed.with([listener, cause])),
        }
    }

    pub(crate) fn refused(&self, by: RefusedBy) {
        self.refused[by as usize].inc();
    }

    /// A connection is open until what is given back is dropped.
    pub(crate) fn opened(&self) -> OpenConnection {
        self.open.add(1.0);
        OpenConnection(self.clone())
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub(crate) struct OpenConnection(ConnectionMeasures);

impl OpenConnection {
    pub(crate) fn closed(self, by: ClosedBy) {
        self.0.closed[by as usize].inc();
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.add(-1.0);
    }
}
