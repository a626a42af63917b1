//! Calls that come in and go out, by method and status.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;
use http::uri::PathAndQuery;
use metrics::{Counters, Histogram, Histograms, Registry, buckets::RPC_SECONDS};
use proto::facade::v1::Reason;
use tonic::Code;

use crate::{Trace, context::Context, end::End, wire::code_name};

/// The label of methods that the server does not have: a stranger's paths make no series.
const OTHER_METHOD: &str = "_OTHER";
/// The label of reasons that are not in the registry.
const OTHER_REASON: &str = "OTHER";

/// What every server has beside its services.
const OF_EVERY_SERVER: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// How many statuses gRPC has.
const CODES: usize = 17;

/// Calls that come in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct CallMeasures {
    durations: Histograms<2>,
    declines: Counters<3>,
    of_every_server: Arc<[MethodSeries; 4]>,
    other: Arc<MethodSeries>,
}

impl CallMeasures {
    pub(crate) fn new(metrics: &Registry) -> Self {
        let durations = metrics.histograms(
            "rpc_server_call_duration_seconds",
            "How long calls took, from their head to their answer; a stream until it was opened; CANCELLED where the caller went away",
            ["method", "status_code"],
            RPC_SECONDS,
        );
        let declines = metrics.counters(
            "saga_business_declines_total",
            "Calls that the business declined",
            ["service", "method", "code"],
        );
        let series = |path| MethodSeries::new(&durations, path);
        let of_every_server = Arc::new(OF_EVERY_SERVER.map(series));
        Self { of_every_server, other: Arc::new(series(OTHER_METHOD)), durations, declines }
    }

    /// The series of a method that is mounted.
    pub(crate) fn of_method(&self, path: &str) -> MethodSeries {
        let series = MethodSeries::new(&self.durations, path);
        series.prepare(Code::Ok);
        series
    }

    /// The series of a method that nothing of ours answers.
    pub(crate) fn of_other(&self, path: &str) -> &MethodSeries {
        let known = OF_EVERY_SERVER.iter().zip(&*self.of_every_server);
        let mut found = known.filter(|(known, _)| **known == path);
        found.next().map_or(&self.other, |(_, series)| series)
    }

    /// Counts a call that is answered.
    pub(crate) fn answered(&self, context: &Context, method: Option<&MethodSeries>, end: &End) {
        if !self.durations.is_on() {
            return;
        }
        let series = method.unwrap_or_else(|| self.of_other(context.method()));
        series.record(end.code, context.elapsed(), context.trace());
        if end.is_decline() && method.is_some() {
            let (service, method) = split(context.method());
            self.declines.with([service, method, reason_label(&end.reason)]).inc();
        }
    }

    /// Counts a call whose caller went away before it was answered.
    pub(crate) fn cancelled(&self, context: &Context, method: Option<&MethodSeries>) {
        let series = method.unwrap_or_else(|| self.of_other(context.method()));
        series.record(Code::Cancelled, context.elapsed(), context.trace());
    }
}

/// The reason, where it is one of the registry.
pub(super) fn reason_label(reason: &str) -> &'static str {
    Reason::from_code(reason).map_or(OTHER_REASON, Reason::code)
}

/// Service and method of a path.
pub(super) fn split(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_once('/').unwrap_or((path, ""))
}

/// How long the calls of one method took, by their status. A series is there from its first call on, and found without a lock
/// after that.
pub(crate) struct MethodSeries {
    durations: Histograms<2>,
    method: Box<str>,
    by_code: [OnceLock<Histogram>; CODES],
}

impl MethodSeries {
    fn new(durations: &Histograms<2>, path: &str) -> Self {
        let method = path.trim_start_matches('/').into();
        Self { durations: durations.clone(), method, by_code: Default::default() }
    }

    /// Has the series of this status scraped before its first call.
    fn prepare(&self, code: Code) {
        self.histogram(code);
    }

    pub(crate) fn record(&self, code: Code, elapsed: Duration, trace: &Trace) {
        if self.durations.is_on() {
            let exemplar = trace.is_exported().then(|| trace.id());
            self.histogram(code).record_in(elapsed, exemplar);
        }
    }

    fn histogram(&self, code: Code) -> &Histogram {
        self.by_code[code as usize]
            .get_or_init(|| self.durations.with([&self.method, code_name(code)]))
    }
}

impl fmt::Debug for MethodSeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MethodSeries").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Calls that go out over one client. Clones share what they have called.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingMeasures {
    durations: Histograms<2>,
    /// The methods that were called so far: few, so that looking them through is quicker than hashing.
    called: Arc<ArcSwap<Called>>,
}

type Called = Vec<(PathAndQuery, Arc<MethodSeries>)>;

impl OutgoingMeasures {
    pub(crate) fn new(metrics: &Registry) -> Self {
        let durations = metrics.histograms(
            "rpc_client_call_duration_seconds",
            "How long calls to others took, from when they could be sent; UNAVAILABLE where they never could",
            ["method", "status_code"],
            RPC_SECONDS,
        );
        Self { durations, called: Arc::default() }
    }

    /// Counts a call that ended.
    pub(crate) fn record(&self, path: &PathAndQuery, code: Code, elapsed: Duration, trace: &Trace) {
        if !self.durations.is_on() {
            return;
        }
        let called = self.called.load();
        if let Some((_, series)) = called.iter().find(|(known, _)| known == path) {
            return series.record(code, elapsed, trace);
        }
        let series = Arc::new(MethodSeries::new(&self.durations, path.path()));
        self.called.rcu(|called| {
            let mut called = Vec::clone(called);
            called.push((path.clone(), Arc::clone(&series)));
            called
        });
        series.record(code, elapsed, trace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_not_registered_is_other() {
        assert_eq!(reason_label("INSUFFICIENT_STOCK"), "INSUFFICIENT_STOCK");
        for strange in ["", "insufficient_stock", "MADE_UP_7", "OK"] {
            assert_eq!(reason_label(strange), OTHER_REASON);
        }
    }

    #[test]
    fn a_path_has_a_service_and_a_method() {
        assert_eq!(split("/a.v1.B/C"), ("a.v1.B", "C"));
        assert_eq!(split("/"), ("", ""));
    }
}
