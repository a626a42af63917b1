//! Debian's Prometheus, where `cargo xtask test` unpacks it or the system has it.

use std::path::{Path, PathBuf};

const CURE: &str = "`cargo xtask test` unpacks it under target, or `apt-get install --no-install-recommends \
                    prometheus prometheus-alertmanager`";

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A program of the packages.
///
/// # Errors
/// How it is installed, where it is not there.
pub(crate) fn tool(name: &str) -> Result<PathBuf, String> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../prometheus/usr/bin").join(name);
    let installed = Path::new("/usr/bin").join(name);
    let found = [unpacked, installed].into_iter().find(|path| path.exists());
    found.ok_or_else(|| format!("{name} is missing: {CURE}"))
}
