//! What a run came to: a line of a table for a person, a line of JSON for a program.

use std::{fs::OpenOptions, io::Write, path::Path};

use anyhow::Result;
use serde::Serialize;

/// One run. The names are relied on by whoever reads the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    pub(crate) transport: &'static str,
    pub(crate) in_flight: usize,
    /// What the system told of its work: `off`, `metrics` or `traces`.
    pub(crate) telemetry: &'static str,
    /// Steps a saga, where that can be chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<usize>,
    /// Bytes handed from step to step.
    pub(crate) payload: usize,
    /// Sagas in the store that had ended before.
    pub(crate) stored: u64,
    /// Sagas that were removed meanwhile; absent where none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) removed: Option<u64>,
    /// Sagas a second that were offered; absent in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<u64>,
    pub(crate) sagas: u64,
    pub(crate) refused: u64,
    pub(crate) sagas_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_9_ms: f64,
    /// Of all processes together.
    pub(crate) cpu_us_per_saga: f64,
    /// Of the process with the orchestrator; with it whatever runs in it.
    pub(crate) cpu_us_orchestrator: f64,
    /// Of the participant's process, where it has one.
    pub(crate) cpu_us_participants: f64,
    /// Of the process that makes the load, where it is another.
    pub(crate) cpu_us_load: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) flushes_per_saga: f64,
    pub(crate) disk_bytes_per_saga: f64,
    /// Bare calls of a step a second, as many at once; absent where the participant has no process of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calls_per_s: Option<f64>,
    pub(crate) commits_per_s_before: f64,
    pub(crate) commits_per_s_after: f64,
}

pub(crate) fn print_head() {
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9} | {:>8} {:>8} {:>8} {:>8} us | {:>6} MB {:>7} {:>8} B | probe/s",
        "in flight",
        "sagas/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "cpu",
        "orch.",
        "parts",
        "load",
        "peak",
        "flushes",
        "disk"
    );
}

impl Row {
    pub(crate) fn print(&self) {
        println!(
            "{:>9} {:>9.0} {:>9.2} {:>9.2} {:>9.2} | {:>8.0} {:>8.0} {:>8.0} {:>8.0}    | {:>6.0}    {:>7.2} {:>8.0}   | {:.0} {:.0}   {}{}",
            self.in_flight,
            self.sagas_per_s,
            self.p50_ms,
            self.p99_ms,
            self.p99_9_ms,
            self.cpu_us_per_saga,
            self.cpu_us_orchestrator,
            self.cpu_us_participants,
            self.cpu_us_load,
            self.peak_rss_mb,
            self.flushes_per_saga,
            self.disk_bytes_per_saga,
            self.commits_per_s_before,
            self.commits_per_s_after,
            self.telemetry,
            self.calls_per_s.map_or(String::new(), |calls| format!("   {calls:.0} calls/s"))
                + &match self.refused {
                    0 => String::new(),
                    refused => format!("   {refused} refused"),
                }
                + &self.removed.map_or(String::new(), |removed| format!("   {removed} removed"))
        );
    }

    pub(crate) fn append_to(&self, file: &Path) -> Result<()> {
        append(file, self)
    }
}

pub(crate) fn append(file: &Path, row: &impl Serialize) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{}", serde_json::to_string(row)?)?;
    Ok(())
}
