//! How fast the disk itself commits: the yardstick that stands beside every figure.

#![expect(clippy::disallowed_methods, reason = "a bench reads the machine's time")]

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

/// As much as a small transaction writes to a write-ahead log.
const BLOCK: [u8; 4096] = [0x5a; 4096];
const MEASURED_TIME: Duration = Duration::from_millis(700);

/// Appends and flushes, one after the other; gives how many a second.
pub(crate) fn commits_per_s(folder: &Path) -> Result<f64> {
    let path = folder.join("probe");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let started = Instant::now();
    let mut commits = 0_u32;
    while started.elapsed() < MEASURED_TIME {
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        commits += 1;
    }
    let rate = f64::from(commits) / started.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
