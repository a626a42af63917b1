//! What is measured of a database: how long its work takes, what waits for it, and what is removed.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use clock::{Clock, Timestamp};
use metrics::{
    Counter, Counters, Gauge, Gauges, Histogram, Histograms, ReadGauges, Registry,
    buckets::{COUNTS, SHORT_SECONDS},
};

use crate::Database;

/// What a database does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// A read of calls and sagas, from when it was asked for.
    Read,
    /// A read of people, from when it was asked for.
    List,
    /// A transaction, from its first statement to the end of its commit.
    Write,
    /// The commit alone: the wait for the disk.
    Commit,
}

const OPS: [&str; 4] = ["read", "list", "write", "commit"];

struct Families {
    durations: Histograms<3>,
    errors: Counters<3>,
    pool_in_use: ReadGauges<3>,
    pool_size: ReadGauges<3>,
    queued: ReadGauges<1>,
    together: Histograms<1>,
    log: ReadGauges<1>,
    schema: ReadGauges<1>,
    removed: Counters<2>,
    last_removal: Gauges<2>,
    removal_held: ReadGauges<1>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            durations: metrics.histograms(
                "saga_store_op_duration_seconds",
                "How long a database took: read and list, from when they were asked for; write, a transaction of all who waited; commit, its wait for the disk",
                ["op", "backend", "database"],
                SHORT_SECONDS,
            ),
            errors: metrics.counters(
                "saga_store_errors_total",
                "Reads and transactions that a database could not carry out",
                ["op", "backend", "database"],
            ),
            pool_in_use: metrics.read_gauges(
                "saga_store_pool_in_use",
                "Connections for reading that are in use",
                ["op", "backend", "database"],
            ),
            pool_size: metrics.read_gauges(
                "saga_store_pool_size",
                "How many connections for reading there may be",
                ["op", "backend", "database"],
            ),
            queued: metrics.read_gauges(
                "sagamesh_store_queue_depth",
                "Writes that wait for the next transaction",
                ["database"],
            ),
            together: metrics.histograms(
                "sagamesh_store_writes_per_commit",
                "How many writes share a commit",
                ["database"],
                COUNTS,
            ),
            log: metrics.read_gauges(
                "sagamesh_store_log_bytes",
                "How large the log is that is not in the database's file yet, as of some commit of late",
                ["database"],
            ),
            schema: metrics.read_gauges(
                "saga_schema_version",
                "How many migrations the schema has had",
                ["database"],
            ),
            removed: metrics.counters(
                "sagamesh_retention_removed_total",
                "What was removed because it had been kept for long enough",
                ["database", "what"],
            ),
            last_removal: metrics.gauges(
                "sagamesh_retention_last_run_timestamp_seconds",
                "When it was looked last for what is too old, in seconds since the Unix epoch",
                ["database", "what"],
            ),
            removal_held: metrics.read_gauges(
                "sagamesh_retention_held_seconds",
                "For how long nothing is removed yet because the clock has jumped; 0 where it has not",
                ["database"],
            ),
        }
    }
}

/// Asks for every family of a database, so that the catalogue has them.
pub fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// The handles of one database.
#[derive(Debug)]
pub(crate) struct Measures {
    durations: [Histogram; OPS.len()],
    errors: [Counter; OPS.len()],
    together: Histogram,
    removed: Counters<2>,
    last_removal: Gauges<2>,
    database: String,
}

/// The handles, once there are any: what measures a database comes after it was opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured(Arc<OnceLock<Measures>>);

impl Measured {
    /// Counts something that the database did.
    pub(crate) fn record<T, E>(&self, op: Op, elapsed: Duration, came_to: &Result<T, E>) {
        let Some(measures) = self.0.get() else { return };
        measures.durations[op as usize].record(elapsed);
        if came_to.is_err() {
            measures.errors[op as usize].inc();
        }
    }

    /// Counts a commit of so many writes.
    pub(crate) fn committed(&self, writes: usize) {
        if let Some(measures) = self.0.get() {
            measures.together.observe(writes as f64);
        }
    }

    /// What is measured of the removal of `what`.
    pub(crate) fn removal(&self, what: &str) -> RemovalMeasures {
        let Some(measures) = self.0.get() else { return RemovalMeasures::default() };
        let labels = [measures.database.as_str(), what];
        RemovalMeasures {
            removed: measures.removed.with(labels),
            last: measures.last_removal.with(labels),
        }
    }

    /// Begins to measure. Only the first call counts.
    pub(crate) fn begin(&self, metrics: &Registry, clock: &Clock, database: &Database) {
        let families = Families::of(metrics);
        let (name, backend) = (database.stamp().name, database.backend());
        let made = Measures {
            durations: OPS.map(|op| families.durations.with([op, backend, &name])),
            errors: OPS.map(|op| families.errors.with([op, backend, &name])),
            together: families.together.with([&name]),
            removed: families.removed.clone(),
            last_removal: families.last_removal.clone(),
            database: name,
        };
        if metrics.is_on() && self.0.set(made).is_ok() {
            read_from(&families, clock, database);
        }
    }
}

/// Reads of the database at each scrape what it knows anyway, as long as somebody has it open.
fn read_from(families: &Families, clock: &Clock, database: &Database) {
    read_gauge(&families.queued, database, |database| database.load().queued as f64);
    read_gauge(&families.log, database, |database| database.log_bytes() as f64);
    read_gauge(&families.schema, database, |database| database.schema_version() as f64);
    let clock = clock.clone();
    read_gauge(&families.removal_held, database, move |database| {
        database.removal_from().since(clock.now()).as_secs_f64()
    });
    read_pools(&families.pool_in_use, database, |pool| pool.in_use);
    read_pools(&families.pool_size, database, |pool| pool.size);
}

fn read_gauge(
    gauge: &ReadGauges<1>,
    database: &Database,
    value: impl Fn(&Database) -> f64 + Send + Sync + 'static,
) {
    let (weak, name) = (database.downgrade(), database.stamp().name);
    gauge.read(move |readings| {
        if let Some(database) = weak.upgrade() {
            readings.add([&name], value(&database));
        }
    });
}

fn read_pools(gauge: &ReadGauges<3>, database: &Database, value: fn(Pool) -> usize) {
    let (weak, name, backend) = (database.downgrade(), database.stamp().name, database.backend());
    gauge.read(move |readings| {
        let Some(database) = weak.upgrade() else { return };
        let load = database.load();
        for (op, pool) in [(Op::Read, load.readers), (Op::List, load.list_readers)] {
            readings.add([OPS[op as usize], backend, &name], value(pool) as f64);
        }
    });
}

/// How much a database has to do at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Writes that wait.
    pub(crate) queued: usize,
    pub(crate) readers: Pool,
    pub(crate) list_readers: Pool,
}

/// Connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pool {
    pub(crate) in_use: usize,
    pub(crate) size: usize,
}

/// What is measured of the removal of rows of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemovalMeasures {
    removed: Counter,
    last: Gauge,
}

impl RemovalMeasures {
    pub(crate) fn removed(&self, rows: u64) {
        self.removed.add(rows);
    }

    /// It was looked for everything that is too old, at `now`.
    pub(crate) fn swept(&self, now: Timestamp) {
        self.last.set(now.0 as f64 / 1000.0);
    }
}
