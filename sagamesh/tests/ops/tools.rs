//! The files that are looked at, and the programs of Debian's Prometheus.

use std::path::{Path, PathBuf};

const CURE: &str = "`cargo xtask test` unpacks it under target, or `apt-get install --no-install-recommends \
                    prometheus prometheus-alertmanager`";

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The files in a folder whose names end so.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

/// A program of the packages: where `cargo xtask test` unpacks it, or the system has it.
///
/// # Errors
/// How it is installed, where it is not there.
pub(crate) fn tool(name: &str) -> Result<PathBuf, String> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../prometheus/usr/bin").join(name);
    let installed = Path::new("/usr/bin").join(name);
    let found = [unpacked, installed].into_iter().find(|path| path.exists());
    found.ok_or_else(|| format!("{name} is missing: {CURE}"))
}
