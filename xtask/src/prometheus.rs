//! Debian's Prometheus, which judges the rules and scrapes the real binary in the tests: unpacked where cargo builds, never
//! installed, so no daemon is started and nobody need be root.

use std::path::Path;

use anyhow::{Result, bail};

use crate::run::{is_there, step_in};

/// `promtool` and `prometheus` are in the first, `amtool` and `prometheus-alertmanager` in the second.
const PACKAGES: [&str; 2] = ["prometheus", "prometheus-alertmanager"];
const CURE: &str = "put promtool, prometheus, amtool and prometheus-alertmanager into /usr/bin: \
                    `apt-get install --no-install-recommends prometheus prometheus-alertmanager`";

/// Unpacks the packages in this target folder where they are not there.
///
/// # Errors
/// Says how to install them where they cannot be had.
pub(crate) fn prepare(target: &Path) -> Result<()> {
    let folder = target.join("prometheus");
    if is_in(&folder.join("usr/bin")) || is_in(Path::new("/usr/bin")) {
        return Ok(());
    }
    if !is_there("apt-get", "--version") || !is_there("dpkg", "--version") {
        bail!("Prometheus is missing, and no apt-get to fetch it: {CURE}");
    }
    std::fs::create_dir_all(&folder)?;
    if fetch(&folder).is_err() {
        bail!("Prometheus cannot be fetched from Debian's archive: {CURE}");
    }
    Ok(())
}

/// Whether both packages are.
fn is_in(folder: &Path) -> bool {
    let programs = ["promtool", "amtool"].map(|name| folder.join(name).display().to_string());
    programs.iter().all(|program| is_there(program, "--version"))
}

fn fetch(folder: &Path) -> Result<()> {
    let download = [&["download", "-qq"], PACKAGES.as_slice()].concat();
    step_in(folder, "prometheus", "apt-get", &download)?;
    for entry in std::fs::read_dir(folder)? {
        let package = entry?.path();
        if package.extension().is_some_and(|ending| ending == "deb") {
            let name = package.display().to_string();
            step_in(folder, "prometheus", "dpkg", &["-x", &name, "."])?;
            std::fs::remove_file(package)?;
        }
    }
    Ok(())
}
