//! What a process has used, from `/proc`.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux that this runs on.
const TICKS: u64 = 100;

/// CPU time that a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu(pub Duration);

impl Cpu {
    /// What was used after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// User and system time of all threads.
///
/// # Errors
/// Where it cannot be read: the process has ended, for one.
pub fn cpu(pid: u32) -> Result<Cpu> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name stands in brackets and may hold anything.
    let rest = stat.rsplit_once(')').context("a stat line names the program")?.1;
    let field = |index: usize| -> Result<u64> {
        let text = rest.split_whitespace().nth(index).context("a stat line is longer")?;
        Ok(text.parse()?)
    };
    let ticks = field(11)? + field(12)?;
    Ok(Cpu(Duration::from_millis(ticks * 1000 / TICKS)))
}

/// The most memory that was resident at once, in MB.
///
/// # Errors
/// Where it cannot be read: the process has ended, for one.
pub fn peak_rss_mb(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 =
        line.and_then(|line| line.split_whitespace().next()).context("VmHWM")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// The bytes of all files under `folder`.
///
/// # Errors
/// Where it cannot be read: the process has ended, for one.
pub fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
