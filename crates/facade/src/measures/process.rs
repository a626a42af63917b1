//! The process itself: which program it is, what it uses of the machine, and what it could not write.
//!
//! What the machine gives stands in `/proc`, and is read at each scrape; on a system without that it is left out.

use std::fs;

use metrics::{ReadCounters, ReadGauges, Registry};
use rustix::process::{Resource, getrlimit};

use crate::{log, trace};

/// In which the kernel counts time for programs: the same on every machine that this is built for (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

struct Families {
    build: ReadGauges<2>,
    cpu: ReadCounters<0>,
    resident: ReadGauges<0>,
    virtual_memory: ReadGauges<0>,
    open_fds: ReadGauges<0>,
    max_fds: ReadGauges<0>,
    started: ReadGauges<0>,
    threads: ReadGauges<0>,
    lines_dropped: ReadCounters<0>,
    spans_exported: ReadCounters<0>,
    spans_dropped: ReadCounters<1>,
}

impl Families {
    fn of(metrics: &Registry) -> Self {
        Self {
            build: metrics.read_gauges(
                "saga_build_info",
                "1, of this program",
                ["version", "commit"],
            ),
            cpu: metrics.read_counters(
                "process_cpu_seconds_total",
                "User and system CPU time spent in seconds",
                [],
            ),
            resident: metrics.read_gauges(
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                [],
            ),
            virtual_memory: metrics.read_gauges(
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
                [],
            ),
            open_fds: metrics.read_gauges("process_open_fds", "Open file descriptors", []),
            max_fds: metrics.read_gauges(
                "process_max_fds",
                "How many file descriptors may be open",
                [],
            ),
            started: metrics.read_gauges(
                "process_start_time_seconds",
                "When the process started, in seconds since the Unix epoch",
                [],
            ),
            threads: metrics.read_gauges("process_threads", "Threads of the process", []),
            lines_dropped: metrics.read_counters(
                "sagamesh_log_lines_dropped_total",
                "Log lines that were dropped because standard error did not take them in time",
                [],
            ),
            spans_exported: metrics.read_counters(
                "sagamesh_spans_exported_total",
                "Spans that the collector has taken",
                [],
            ),
            spans_dropped: metrics.read_counters(
                "sagamesh_spans_dropped_total",
                "Spans that found no room in the queue, or that the collector did not take in time",
                ["cause"],
            ),
        }
    }
}

pub(super) fn declare(metrics: &Registry) {
    Families::of(metrics);
}

/// Measures this process.
pub(crate) fn measure_process(metrics: &Registry) {
    let families = Families::of(metrics);
    families.build.read(|readings| {
        let commit = option_env!("SAGAMESH_COMMIT").unwrap_or("unknown");
        readings.add([env!("CARGO_PKG_VERSION"), commit], 1.0);
    });
    families.lines_dropped.read(|readings| readings.add([], log::dropped_lines() as f64));
    families.spans_exported.read(|readings| readings.add([], trace::exported_spans() as f64));
    families.spans_dropped.read(|readings| {
        let dropped = trace::dropped_spans();
        readings.add(["queue_full"], dropped.queue_full as f64);
        readings.add(["not_exported"], dropped.not_exported as f64);
    });
    families.cpu.read(|readings| {
        if let Some(stat) = Stat::read() {
            readings.add([], stat.cpu_seconds);
        }
    });
    read(&families.started, || Some(boot_seconds()? + Stat::read()?.started_seconds));
    read(&families.resident, || Some(status("VmRSS:")? * 1024.0));
    read(&families.virtual_memory, || Some(status("VmSize:")? * 1024.0));
    read(&families.threads, || status("Threads:"));
    read(&families.open_fds, open_fds);
    read(&families.max_fds, || Some(getrlimit(Resource::Nofile).current? as f64));
}

fn read(gauge: &ReadGauges<0>, value: fn() -> Option<f64>) {
    gauge.read(move |readings| {
        if let Some(value) = value() {
            readings.add([], value);
        }
    });
}

/// What `/proc/self/stat` says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Since the machine started.
    started_seconds: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The second field is the program's name in brackets, which may have spaces and brackets itself.
    fn parse(stat: &str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        // By proc(5) the third field is the first here.
        let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        let cpu_seconds = (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND;
        Some(Self { cpu_seconds, started_seconds: ticks(22)? / TICKS_PER_SECOND })
    }
}

/// When the machine started, in seconds since the Unix epoch.
fn boot_seconds() -> Option<f64> {
    number_behind("btime", &fs::read_to_string("/proc/stat").ok()?)
}

/// A number of `/proc/self/status`; of what has a size, in kibibytes.
fn status(name: &str) -> Option<f64> {
    number_behind(name, &fs::read_to_string("/proc/self/status").ok()?)
}

fn number_behind(name: &str, lines: &str) -> Option<f64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    // One of them is the folder that is read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_be_anything() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 4200 8 7";
        let read = Stat { cpu_seconds: 3.0, started_seconds: 42.0 };
        assert_eq!(Stat::parse(stat), Some(read));
        assert_eq!(Stat::parse("12 (a"), None);
        assert_eq!(Stat::parse("12 (a) S 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_knows_what_it_uses() {
        let metrics = Registry::new();
        measure_process(&metrics);
        let read = metrics::exposition::Exposition::parse(&metrics.encode()).unwrap();
        let value = |name: &str| read.value(name, &[]).unwrap();
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = clock::Clock::system().now().0 as f64 / 1000.0;
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "it started {age} seconds ago");
        assert_eq!(read.value("saga_build_info", &[("version", "0.1.0")]), Some(1.0));
    }
}
